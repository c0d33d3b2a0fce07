// A program that is run for one answer: what it is told on stdin, what it says, and a deadline. What it has started ends with it.
import type { Readable } from "node:stream";
import type { Clock } from "../../shared/clock.ts";
import { messageOf } from "../../shared/errors.ts";
import type { Child, Children } from "./children.ts";
import { signalGroup } from "./process-group.ts";

export interface ToolOptions {
  /** tund's own if not given */
  env?: NodeJS.ProcessEnv;
  /** what it reads on stdin, which ends behind it; nothing if not given */
  input?: string;
  /** for messages: which tool, and on what file */
  what: string;
  deadlineMs: number;
  /** how much it may print on stdout, in bytes; 64 KiB if not given */
  mostPrinted?: number;
  children: Children;
  clock: Clock;
  /** given, stderr is read to its end as well (500 ms at most) where the exit code is 0, unless what it has said is enough */
  isEnough?: (said: string) => boolean;
  /** ends it */
  signal: AbortSignal;
  /** called when the program is gone, or could not be started: later than the answer where it does not even heed SIGKILL */
  onGone?: () => void;
}

export interface ToolOutcome {
  code: number;
  stdout: string;
  /** the first 64 KiB; where the exit code is 0, as much as there was when it ended */
  stderr: string;
  /** whether that is all of it */
  saidAll: boolean;
}

/** It cannot be run at all; `cause` says why. */
export class NotRun extends Error {}

const MOST_SAID = 64 * 1024;
const LAST_WORDS_MS = 500;

/**
 * Runs it, without a shell and without a terminal, at the head of a process group of its own.
 * @throws NotRun when it cannot be started; Error when it is ended by a signal, prints more than it may, takes longer than the
 * deadline, or `signal` aborts: by then it was killed, with its group
 */
export async function runTool(
  program: string,
  args: readonly string[],
  options: ToolOptions,
): Promise<ToolOutcome> {
  const { what, deadlineMs, clock, signal, onGone = () => undefined } = options;
  if (signal.aborted) {
    onGone();
    throw abandoned(what);
  }
  const end = new AbortController();
  const abort = () => end.abort(abandoned(what));
  signal.addEventListener("abort", abort, { once: true });
  const timer = clock.after(deadlineMs, () =>
    end.abort(new Error(`${what}: no answer in ${deadlineMs / 1000} s`)),
  );
  try {
    const child = await started(program, args, { ...options, onGone, end: end.signal });
    return await outcomeOf(child, options, end);
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", abort);
  }
}

interface Starting extends ToolOptions {
  onGone: () => void;
  /** aborted when it is not waited for any longer */
  end: AbortSignal;
}

// One that is started from a disk that does not answer is not waited for, and killed should it run after all.
function started(
  program: string,
  args: readonly string[],
  { env, children, onGone, end }: Starting,
): Promise<Child> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(end.reason as Error);
    end.addEventListener("abort", giveUp, { once: true });
    children.start(program, args, env).then(
      (child) => {
        end.removeEventListener("abort", giveUp);
        void child.exited.then(onGone);
        if (end.aborted) letGo(child);
        else resolve(child);
      },
      (cause: unknown) => {
        onGone();
        reject(new NotRun(`cannot run ${program}: ${messageOf(cause)}`, { cause }));
      },
    );
  });
}

const abandoned = (what: string): Error => new Error(`${what}: nobody waits for it any more`);

const streamsOf = ({ stdin, stdout, stderr }: Child) => [stdin, stdout, stderr];

function letGo(child: Child): void {
  for (const stream of streamsOf(child)) stream.destroy();
  signalGroup(child, "SIGKILL");
}

function outcomeOf(
  child: Child,
  { what, input, mostPrinted = MOST_SAID, isEnough, clock }: ToolOptions,
  end: AbortController,
): Promise<ToolOutcome> {
  return new Promise((resolve, reject) => {
    // One that does not even heed SIGKILL, on a disk that does not answer, is not waited for.
    const giveUp = () => {
      letGo(child);
      reject(end.signal.reason as Error);
    };
    end.signal.addEventListener("abort", giveUp, { once: true });
    if (end.signal.aborted) return giveUp();
    const tooMuch = () => end.abort(new Error(`${what}: it prints more than ${mostPrinted >> 10} KiB`));
    const printed = collected(child.stdout, mostPrinted, tooMuch);
    let isCut = false;
    const said = collected(child.stderr, MOST_SAID, () => (isCut = true));
    const isQuiet = (code: number | null) => code === 0 && (isEnough === undefined || isEnough(said()));
    child.stdin.end(input);
    // What it has left behind may hold its stderr: that is not waited for when nothing was wrong, else not long.
    void Promise.all([child.exited, ended(child.stdout)])
      .then(([{ code }]) => (isQuiet(code) ? undefined : endedSoon(child.stderr, { clock, isEnough, said })))
      .then(() => {
        const saidAll = child.stderr.readableEnded && !isCut;
        end.signal.removeEventListener("abort", giveUp);
        for (const stream of streamsOf(child)) stream.destroy();
        const { code, signal } = child.exit ?? { code: null, signal: null };
        if (code === null) reject(new Error(`${what}: it was ended by ${signal ?? "somebody"}`));
        else resolve({ code, stdout: printed(), stderr: said(), saidAll });
      });
  });
}

const ended = (stream: Readable): Promise<void> =>
  new Promise((go) => (stream.closed ? go() : void stream.once("close", go)));

function endedSoon(
  stream: Readable,
  {
    clock,
    isEnough,
    said,
  }: { clock: Clock; isEnough: ToolOptions["isEnough"] | undefined; said: () => string },
): Promise<void> {
  return new Promise((go) => {
    const timer = clock.after(LAST_WORDS_MS, go);
    const over = () => {
      timer.cancel();
      go();
    };
    if (isEnough !== undefined) stream.on("data", () => isEnough(said()) && over());
    void ended(stream).then(over);
  });
}

/** What a stream brings, as text: no more than `most` bytes of it; `onMore` is called when there is more. */
function collected(stream: Readable, most: number, onMore?: () => void): () => string {
  const chunks: Buffer[] = [];
  let room = most;
  stream.on("data", (chunk: Buffer) => {
    if (chunk.length > room) onMore?.();
    if (room > 0) chunks.push(chunk.subarray(0, room));
    room = Math.max(0, room - chunk.length);
  });
  return () => Buffer.concat(chunks).toString();
}
