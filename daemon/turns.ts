// Long work on the event loop, in slices: one a turn, whoever has such work, so that everything else goes on between them.
import type { Clock } from "../shared/clock.ts";

/** How long a slice is, in milliseconds. */
export const SLICE_MS = 4;

/** One per daemon: what two of them hand out adds up. */
export class Turns {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #waiting: (() => void)[] = [];
  /** whether this turn has a slice, used up or not */
  #isBegun = false;
  #until = 0;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** Waits for the slice of a later turn: those who wait have theirs one after the other, in the order in which they came. */
  next(): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push(go);
      if (!this.#isBegun) this.#begin();
    });
  }

  /** Whether there is nothing left of the slice of this turn: asked first in a turn, it begins. */
  get isOver(): boolean {
    if (!this.#isBegun) this.#begin();
    return this.#clock.monotonic() >= this.#until;
  }

  #begin(): void {
    this.#isBegun = true;
    this.#until = this.#clock.monotonic() + SLICE_MS;
    setImmediate(() => {
      this.#isBegun = false;
      const go = this.#waiting.shift();
      if (go === undefined) return;
      this.#begin();
      go();
    });
  }
}
