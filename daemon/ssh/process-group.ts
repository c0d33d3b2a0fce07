// A program that leads a process group of its own, so that what it starts can be ended with it.
import type { Child } from "./children.ts";

/** Signals a program that leads a process group, and whatever it has started in it. Gives whether anybody is in it; never throws. */
export function signalGroup({ pid }: Pick<Child, "pid">, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false; // nobody is left
  }
}
