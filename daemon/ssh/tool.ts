// A program that is run for one answer: what it is told on stdin, what it says, and a deadline.
import { spawn } from "node:child_process";
import type { Clock } from "../../shared/clock.ts";

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
export function runTool(
  program: string,
  args: readonly string[],
  options: ToolOptions,
): Promise<ToolOutcome> {
  const { env, input, what, deadlineMs, clock, signal } = options;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Error(`${what}: nobody waits for it any more`));
    const child = spawn(program, args, { detached: true, stdio: "pipe", ...(env && { env }) });
    const said = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].on("error", () => undefined);
      child[name].on("data", (chunk: Buffer) => {
        said[name] = (said[name] + chunk.toString()).slice(0, MOST_SAID);
      });
    }
    child.stdin.on("error", () => undefined); // it does not read it: its end says why
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
    child.once("error", (error) => {
      settled();
      reject(new NotRun(`cannot run ${program}: ${error.message}`, { cause: error }));
    });
    child.once("close", (code, by) => {
      settled();
      if (code === null) reject(new Error(`${what}: it was ended by ${by}`));
      else resolve({ code, ...said });
    });
    child.stdin.end(input);
    return undefined;
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
