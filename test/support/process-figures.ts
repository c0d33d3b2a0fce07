// What Linux tells of a process: its descriptors, its memory, and the processor time that it has used.
import { readdirSync, readFileSync } from "node:fs";
import { eventually } from "./eventually.ts";

/** How many descriptors a process has open. @throws Error when there is no such process */
export const openDescriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** As openDescriptors, once what went on before is over: when it stays the same for five readings. */
export async function settledDescriptors(pid: number): Promise<number> {
  let last = -1;
  let readings = 0;
  await eventually(() => {
    const count = openDescriptors(pid);
    readings = count === last ? readings + 1 : 0;
    last = count;
    return readings >= 4;
  });
  return last;
}

/** Resident memory in bytes. @throws Error when there is no such process */
export function residentBytes(pid: number): number {
  const [, pages] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ");
  return Number(pages) * 4096;
}

/** Processor time of a process so far, in milliseconds, to 10 ms. @throws Error when there is no such process */
export function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // proc(5): utime and stime are fields 14 and 15, in hundredths of a second; counted from behind the program's name.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/**
 * How long a process's first thread could have run and had no processor so far, in milliseconds, where the kernel says (Linux
 * with schedstats); else 0.
 */
export function withoutProcessor(pid: number): number {
  try {
    const [, nanoseconds] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ");
    return Number(nanoseconds) / 1e6;
  } catch {
    return 0;
  }
}
