// Time as an argument, so that tests own it.

/** A pending timer that can be called off. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch; jumps when the clock is set, and over the time that the machine slept. */
  now(): number;
  /** Milliseconds since some moment; stands still while the machine sleeps. */
  monotonic(): number;
  /**
   * Calls `run` once after `ms` milliseconds, however many: never for Infinity, in the next turn for what is not above 0.
   * The timer keeps no process alive.
   * @throws RangeError for NaN: it would be a deadline that is over at once, or never
   */
  after(ms: number, run: () => void): Timer;
}

// What setTimeout takes at most, 24.8 days: it fires at once for more. ssh_config's times may be longer.
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    if (Number.isNaN(ms)) throw new RangeError("a timer needs a number of milliseconds");
    let timer: NodeJS.Timeout;
    const arm = (left: number): void => {
      const next = left > LONGEST_MS ? () => arm(left - LONGEST_MS) : run;
      timer = setTimeout(next, Math.min(left, LONGEST_MS));
      timer.unref();
    };
    arm(ms);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** A moment as it stands on the wire: RFC 3339, UTC. */
export const timestamp = (ms: number): string => new Date(ms).toISOString();
