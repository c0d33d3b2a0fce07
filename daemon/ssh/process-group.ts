// A program that leads a process group of its own, so that what it starts can be ended with it.
import type { ChildProcess } from "node:child_process";

/** Signals a program that was started `detached`, and whatever it has started in its group. Gives whether anybody is in it; never throws. */
export function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): boolean {
  try {
    return pid !== undefined && process.kill(-pid, signal);
  } catch {
    return false; // nobody is left
  }
}
