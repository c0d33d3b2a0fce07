// An attempt that nobody waits for ends some time after its start: a network that dies behind our last packet, or a question
// that nobody sees, leaves nothing else that would end it.
import type { Clock } from "../../shared/clock.ts";
import type { TundError } from "../../shared/errors.ts";
import { untilAborted } from "./transaction.ts";

const MINUTES = 10;
// A person who waited may have gone.
const LOOK_AGAIN_MS = 10_000;

export interface BackgroundLimitOptions {
  clock: Clock;
  /** whether a person waits for it, now: they have no limit */
  isAwaited: () => boolean;
  /** why it ended, that was not over within so many minutes */
  why: (minutes: number) => TundError;
  /** ends the attempt, and what comes of it */
  signal: AbortSignal;
}

export class BackgroundLimit {
  /** aborted when the time is over, or the attempt is not wanted any more */
  readonly signal: AbortSignal;
  readonly #options: BackgroundLimitOptions;
  readonly #over = new AbortController();
  #cancel: () => void = () => undefined;
  #isDone = false;

  constructor(options: BackgroundLimitOptions) {
    this.#options = options;
    this.signal = AbortSignal.any([options.signal, this.#over.signal]);
  }

  /** From now on it is counted. What others do for it before has limits of its own. */
  begin(): void {
    if (!this.#isDone) this.#lookAfter(MINUTES * 60_000);
  }

  /** Waits for what is attempted. @throws what that rejects with, and why it ended */
  async wait<T>(attempt: Promise<T>): Promise<T> {
    try {
      return await untilAborted(attempt, this.#over.signal);
    } finally {
      this.#isDone = true;
      this.#cancel();
    }
  }

  #lookAfter(ms: number): void {
    const { clock, isAwaited, why } = this.#options;
    const timer = clock.after(ms, () => {
      if (isAwaited()) this.#lookAfter(LOOK_AGAIN_MS);
      else this.#over.abort(why(MINUTES));
    });
    this.#cancel = () => timer.cancel();
  }
}
