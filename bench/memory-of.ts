// What a process weighs, as Linux counts it.
import { readFileSync } from "node:fs";

/** Resident memory, and the part of it that no other process shares or would have to pay for, in MiB (proc(5), smaps_rollup). */
export interface Memory {
  rss: number;
  pss: number;
}

/** @throws Error when there is no such process, or no Linux */
export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const mib = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) / 1024;
  return { rss: mib("Rss"), pss: mib("Pss") };
}
