// A program that is run for one answer: what it is told on stdin, what it says, and a deadline.
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import type { Clock } from "../../shared/clock.ts";
import { messageOf } from "../../shared/errors.ts";

export interface ToolOptions {
  env?: NodeJS.ProcessEnv;
  /** what it reads on stdin, which ends behind it */
  input: string;
  /** for messages: which tool, and on what file */
  what: string;
  deadlineMs: number;
  clock: Clock;
  /** ends it */
  signal: AbortSignal;
}

export interface ToolOutcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** It cannot be run at all. */
export class NotRun extends Error {}

const MOST_SAID = 64 * 1024;

/**
 * Runs it, without a shell and without a terminal. What it says beyond 64 KiB is not kept.
 * @throws NotRun when there is no such program; Error when it is ended by a signal, takes longer than the deadline, or `signal` aborts
 */
export async function runTool(
  program: string,
  args: readonly string[],
  options: ToolOptions,
): Promise<ToolOutcome> {
  const { env, input, what, signal } = options;
  if (signal.aborted) throw new Error(`${what}: nobody waits for it any more`);
  const child = spawn(program, args, { detached: true, stdio: "pipe", ...(env && { env }) });
  // Nothing of it is there then: where there are no descriptors left, not even its streams.
  if (child.pid === undefined) throw new NotRun(`cannot run ${program}: ${await errorOf(child)}`);
  for (const each of [child, child.stdin, child.stdout, child.stderr]) each.on("error", () => undefined);
  const outcome = outcomeOf(child, options);
  child.stdin.end(input);
  return outcome;
}

/** Why a program could not be started; to be asked in the turn in which that was tried. */
export async function errorOf(child: ChildProcess): Promise<string> {
  const [error] = (await once(child, "error")) as [unknown];
  return messageOf(error);
}

function outcomeOf(
  child: ChildProcessWithoutNullStreams,
  { what, deadlineMs, clock, signal }: ToolOptions,
): Promise<ToolOutcome> {
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].on("data", (chunk: Buffer) => {
      said[name] = (said[name] + chunk.toString()).slice(0, MOST_SAID);
    });
  return new Promise((resolve, reject) => {
    const timer = clock.after(deadlineMs, () => end(`no end to it within ${deadlineMs / 1000} s`));
    const abort = () => end("nobody waits for it any more");
    const settled = () => {
      timer.cancel();
      signal.removeEventListener("abort", abort);
    };
    // One that does not even heed SIGKILL, on a disk that does not answer, is not waited for.
    const end = (why: string) => {
      settled();
      killGroup(child.pid);
      for (const stream of child.stdio) stream?.destroy();
      reject(new Error(`${what}: ${why}`));
    };
    signal.addEventListener("abort", abort, { once: true });
    child.once("close", (code, by) => {
      settled();
      if (code === null) reject(new Error(`${what}: it was ended by ${by}`));
      else resolve({ code, ...said });
    });
  });
}

// It leads a process group of its own, so that what it started goes with it.
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // it has ended meanwhile
  }
}
