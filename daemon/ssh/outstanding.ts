// What an attempt has asked for and a person may still have to give: an answer, a touch, a yes to an agent. As long as that can
// still come it is not asked for again.
import type { Clock, Timer } from "../../shared/clock.ts";

/** The attempt that everything outstanding is of. One for each. */
export class Outstanding {
  readonly #asked = new Set<{ what: string }>();
  #settled: () => void = () => undefined;

  /** What was asked for first and is not there: `an answer to 'Code:'`. */
  get first(): string | undefined {
    for (const { what } of this.#asked) return what;
    return undefined;
  }

  /** Waits for it. @throws what `coming` rejects with */
  async during<T>(what: string, coming: Promise<T>): Promise<T> {
    const asked = { what };
    this.#asked.add(asked);
    try {
      return await coming;
    } finally {
      this.#asked.delete(asked);
      this.#settled();
    }
  }

  /** What is not there after `ms` milliseconds more; undefined as soon as there is nothing, or `signal` is aborted. */
  async firstAfter(ms: number, clock: Clock, signal: AbortSignal): Promise<string | undefined> {
    if (this.first === undefined) return undefined;
    await new Promise<void>((go) => {
      const timer: Timer = clock.after(ms, go);
      this.#settled = () => {
        if (this.first !== undefined) return;
        timer.cancel();
        go();
      };
      signal.addEventListener("abort", () => (timer.cancel(), go()), { once: true });
      if (signal.aborted) go();
    });
    return signal.aborted ? undefined : this.first;
  }
}
