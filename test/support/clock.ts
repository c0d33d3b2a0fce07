// A clock that stands still until it is told to go on.
import type { Clock } from "../../shared/clock.ts";

export interface ManualClock extends Clock {
  /** Lets time pass; timers run in order, each at its own moment. */
  advance(ms: number): void;
  /** Moves `now` alone, as sleep does. */
  jump(ms: number): void;
  /** timers that are armed */
  pending(): number;
}

export function manualClock(start = 0): ManualClock {
  let now = start;
  let slept = 0;
  const timers = new Set<{ at: number; run: () => void }>();
  const nextBefore = (end: number) =>
    [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
  return {
    now: () => now + slept,
    monotonic: () => now,
    after(ms, run) {
      const timer = { at: now + ms, run };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    advance(ms) {
      const end = now + ms;
      for (let timer = nextBefore(end); timer !== undefined; timer = nextBefore(end)) {
        timers.delete(timer);
        now = timer.at;
        timer.run();
      }
      now = end;
    },
    jump(ms) {
      slept += ms;
    },
    pending: () => timers.size,
  };
}
