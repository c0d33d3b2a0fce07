// A program that is run for one answer: what it is told on stdin, what it says, and a deadline. What it has started ends with it.
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import type { Clock } from "../../shared/clock.ts";
import { messageOf } from "../../shared/errors.ts";
import { signalGroup } from "./process-group.ts";

export interface ToolOptions {
  env?: NodeJS.ProcessEnv;
  /** what it reads on stdin, which ends behind it; nothing if not given */
  input?: string;
  /** for messages: which tool, and on what file */
  what: string;
  deadlineMs: number;
  /** how much it may print on stdout, in bytes; 64 KiB if not given */
  mostPrinted?: number;
  clock: Clock;
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
  const { input, onGone = () => undefined } = options;
  const child = await started(program, args, options).catch((error: unknown) => {
    onGone();
    throw error;
  });
  for (const each of [child, child.stdin, child.stdout, child.stderr]) each.on("error", () => undefined);
  child.once("exit", onGone);
  const outcome = outcomeOf(child, options);
  child.stdin.end(input);
  return outcome;
}

/** Why a program could not be started; to be asked in the turn in which that was tried. */
export async function errorOf(child: ChildProcess): Promise<unknown> {
  const [error] = (await once(child, "error")) as [unknown];
  return error;
}

async function started(
  program: string,
  args: readonly string[],
  { env, what, signal }: ToolOptions,
): Promise<ChildProcessWithoutNullStreams> {
  if (signal.aborted) throw abandoned(what);
  const notRun = (cause: unknown) => new NotRun(`cannot run ${program}: ${messageOf(cause)}`, { cause });
  let child: ChildProcessWithoutNullStreams;
  try {
    child = spawn(program, args, { detached: true, stdio: "pipe", ...(env && { env }) });
  } catch (error) {
    throw notRun(error); // arguments that are too long, say
  }
  // Nothing of it is there then: where there are no descriptors left, not even its streams.
  if (child.pid === undefined) throw notRun(await errorOf(child));
  return child;
}

const abandoned = (what: string): Error => new Error(`${what}: nobody waits for it any more`);

function outcomeOf(
  child: ChildProcessWithoutNullStreams,
  { what, deadlineMs, mostPrinted = MOST_SAID, clock, signal }: ToolOptions,
): Promise<ToolOutcome> {
  return new Promise((resolve, reject) => {
    const settled = () => {
      timer.cancel();
      signal.removeEventListener("abort", abort);
      for (const stream of child.stdio) stream?.destroy();
    };
    // One that does not even heed SIGKILL, on a disk that does not answer, is not waited for.
    const giveUp = (why: Error) => {
      settled();
      signalGroup(child, "SIGKILL");
      reject(why);
    };
    const abort = () => giveUp(abandoned(what));
    const late = () => giveUp(new Error(`${what}: no answer in ${deadlineMs / 1000} s`));
    const timer = clock.after(deadlineMs, late);
    signal.addEventListener("abort", abort, { once: true });
    const tooMuch = () => giveUp(new Error(`${what}: it prints more than ${mostPrinted >> 10} KiB`));
    const printed = collected(child.stdout, mostPrinted, tooMuch);
    const said = collected(child.stderr, MOST_SAID);
    const exited = new Promise<void>((go) => void child.once("exit", () => go()));
    // What it has left behind may hold its stderr: that is not waited for when nothing was wrong, else not long.
    void Promise.all([exited, ended(child.stdout)])
      .then(() => (child.exitCode === 0 ? undefined : endedSoon(child.stderr, clock)))
      .then(() => {
        settled();
        const { exitCode: code, signalCode } = child;
        if (code === null) reject(new Error(`${what}: it was ended by ${signalCode}`));
        else resolve({ code, stdout: printed(), stderr: said() });
      });
  });
}

const ended = (stream: Readable): Promise<void> =>
  new Promise((go) => (stream.closed ? go() : void stream.once("close", go)));

function endedSoon(stream: Readable, clock: Clock): Promise<void> {
  return new Promise((go) => {
    const timer = clock.after(LAST_WORDS_MS, go);
    void ended(stream).then(() => {
      timer.cancel();
      go();
    });
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
