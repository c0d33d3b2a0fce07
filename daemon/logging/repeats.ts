// The same line again and again: the first few of each are written, the rest are counted. Whoever can connect can make lines.
import type { Clock, Timer } from "../../shared/clock.ts";

/** Lines of one kind that are written in one interval. */
const MOST_ALIKE = 10;
/** The interval, in milliseconds. */
const ALIKE_MS = 10_000;
// What is told apart. Beyond that the interval ends early: what is kept is bounded, and what is written is bounded by the queue.
const MOST_KINDS = 1000;

interface Kind {
  lines: number;
  /** of the last one that was not written: writes how many there were */
  tell: ((more: number) => void) | undefined;
}

export class Repeats {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Kind>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a line of a kind is to be written. If not, `tell` is called at the end of the interval, with how many were not. */
  admits(key: string, tell: (more: number) => void): boolean {
    if (this.#kinds.size >= MOST_KINDS && !this.#kinds.has(key)) this.settle();
    const kind = this.#kinds.get(key) ?? { lines: 0, tell: undefined };
    this.#kinds.set(key, kind);
    this.#timer ??= this.#clock.after(ALIKE_MS, () => this.settle());
    kind.lines++;
    if (kind.lines <= MOST_ALIKE) return true;
    kind.tell = tell;
    return false;
  }

  /** Ends the interval. */
  settle(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const kinds = [...this.#kinds.values()];
    this.#kinds.clear();
    for (const { lines, tell } of kinds) tell?.(lines - MOST_ALIKE);
  }
}
