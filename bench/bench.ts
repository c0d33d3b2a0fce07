// What every part of the benchmark is given, and how it takes turns.
import { setTimeout as sleep } from "node:timers/promises";
import type { Sshd } from "../test/support/sshd.ts";
import type { Generators } from "./generators.ts";
import type { Measure, Owner } from "./measures.ts";
import type { Subject } from "./subjects.ts";

export interface Bench {
  sshd: Sshd;
  load: Generators;
  rounds: number;
  /** what a duration is multiplied by: 1, but for a quick look */
  pace: number;
  record: (measure: string, owner: Owner, value: number) => void;
  /** from then on nothing can be recorded */
  interrupted: AbortSignal;
  /** Says on stderr what a part does not measure here, and why. */
  note: (text: string) => void;
}

/** One file of `parts/`. */
export interface Part {
  name: string;
  title: string;
  measures: readonly Measure[];
  run: (bench: Bench) => Promise<void>;
}

export const ownerOf = (subject: Subject): Owner => (subject.name === "tund" ? "tund" : "beside");

/** Whatever the load before still has under way is not to meet the next one. */
const SETTLE_MS = 100;

/** A turn of each subject in each round; it calls what it is given with the figures that are to count. */
export type Turn = (subject: Subject, record: (measure: string, value: number) => void) => Promise<void>;

/**
 * Takes turns, round by round, so that whatever else the machine does meets all; who comes second finds it warmer, so they
 * change places. A round before the first warms up, and does not count.
 */
export async function takeTurns(
  bench: Bench,
  subjects: readonly Subject[],
  turns: readonly Turn[],
): Promise<void> {
  for (let round = 0; round <= bench.rounds; round++) {
    const order = round % 2 === 0 ? subjects : subjects.toReversed();
    for (const turn of turns)
      for (const subject of order) {
        await turn(subject, (measure, value) => {
          if (round > 0) bench.record(measure, ownerOf(subject), value);
        });
        await sleep(SETTLE_MS);
      }
  }
}

/** Takes a figure so many times, and gives them. */
export async function times<T>(count: number, take: () => Promise<T>): Promise<T[]> {
  const taken: T[] = [];
  for (let i = 0; i < count; i++) taken.push(await take());
  return taken;
}

/** How long something takes, in milliseconds. */
export async function timed(run: () => unknown): Promise<number> {
  const started = performance.now();
  await run();
  return performance.now() - started;
}
