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
  /** Calls `run` once after `ms` milliseconds. The timer keeps no process alive. */
  after(ms: number, run: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** A moment as it stands on the wire: RFC 3339, UTC. */
export const timestamp = (ms: number): string => new Date(ms).toISOString();
