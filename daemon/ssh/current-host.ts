// Which host tund is busy with: whose bytes, timers, answers it handles. Asked when something threw that nobody caught.
import { AsyncLocalStorage } from "node:async_hooks";
import type { EventEmitter } from "node:events";
import type { Clock } from "../../shared/clock.ts";

/** Whatever names a host has; looked at only when it matters. */
export type HostNames = ReadonlySet<string>;

/** Runs something as one host's. */
export type Around = <T>(run: () => T) => T;

const LINGER_MS = 5000;

export class CurrentHost {
  readonly #clock: Clock;
  readonly #promises = new AsyncLocalStorage<HostNames>();
  #following = 0;
  #thrown: { error: unknown; names: HostNames } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `fn` as a host's: what it throws is that host's. The innermost counts. Cheap: the data path goes through it. */
  run<T>(names: HostNames, fn: () => T): T {
    try {
      return this.#following > 0 ? this.#promises.run(names, fn) : fn();
    } catch (error) {
      if (this.#thrown?.error !== error) this.#thrown = { error, names };
      throw error;
    }
  }

  /**
   * As run(), for something that goes on: promises and timers that come of it are followed as well, until 5 s after its
   * end. Up to Node 22 that costs all that runs meanwhile (a tenth of the processor time of a new connection), so it is not
   * done while every link is up.
   */
  follow<T>(names: HostNames, fn: () => Promise<T>): Promise<T> {
    this.#following++;
    return this.run(names, async () => {
      try {
        return await fn();
      } finally {
        this.#clock.after(LINGER_MS, () => this.#unfollow());
      }
    });
  }

  /** Whose turn something was thrown in, if it was any host's: to be asked where it is known that nobody caught it. */
  namesFor(error: unknown): readonly string[] {
    const thrown = this.#thrown;
    return [...((thrown?.error === error ? thrown?.names : this.#promises.getStore()) ?? [])];
  }

  #unfollow(): void {
    if (--this.#following === 0) this.#promises.disable();
  }
}

/** Has everything that somebody is told by an emitter be told as one host's. */
export function tellWithin(emitter: EventEmitter, around: Around): void {
  const emit = emitter.emit.bind(emitter);
  emitter.emit = (...args) => around(() => emit(...args));
}

/** A clock whose timers run as one host's. */
export const clockWithin = (clock: Clock, around: Around): Clock => ({
  ...clock,
  after: (ms, run) => clock.after(ms, () => around(run)),
});
