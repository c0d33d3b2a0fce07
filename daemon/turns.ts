// Long work on the event loop, in slices: one a turn, whoever has such work, so that everything else goes on between them.

const SLICE_MS = 4;

export class Turns {
  readonly #waiting: (() => void)[] = [];
  #isDue = false;
  #until = 0;

  /** Waits for a slice. Whoever waited for anything else meanwhile needs a new one. */
  next(): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push(go);
      this.#schedule();
    });
  }

  /** Whether the slice is used up. */
  get isOver(): boolean {
    return performance.now() >= this.#until;
  }

  #schedule(): void {
    if (this.#isDue || this.#waiting.length === 0) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#until = performance.now() + SLICE_MS;
      this.#waiting.shift()?.();
      this.#schedule();
    });
  }
}
