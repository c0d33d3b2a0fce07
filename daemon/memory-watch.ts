// Looks after memory: what malloc keeps of freed memory in the hope of more is given back once there is no traffic.
import type { Clock, Timer } from "../shared/clock.ts";

const LOOK_EVERY_MS = 3000;
const LOOK_EVERY_MS_AT_WORK = 250;
// Of one processor: keepalives and looks like these take a thousandth, what carries something takes a tenth and more.
const AT_WORK = 0.02;
// Processor time in which little memory can have been left behind, or not enough to fetch it anew.
const NOT_WORTH_IT_MS = 500;

export interface MemoryWatchOptions {
  clock: Clock;
  /** processor time that this process has used so far, in milliseconds */
  processorMs: () => number;
  /** called when the daemon has come to rest after its start, and after work */
  giveBack: () => void;
}

/** Processor time that this process has used so far, in milliseconds. */
export const usedMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Looks every 3 s, and four times a second while the daemon is at work; `stop` ends it. */
export function watchMemory({ clock, processorMs, giveBack }: MemoryWatchOptions): {
  stop: () => void;
} {
  let timer: Timer;
  let [looked, gave] = [processorMs(), Number.NEGATIVE_INFINITY];
  const lookIn = (ms: number): void => {
    timer = clock.after(ms, () => {
      const used = processorMs();
      const isAtWork = used - looked > ms * AT_WORK;
      if (!isAtWork && used - gave > NOT_WORTH_IT_MS) {
        giveBack();
        gave = processorMs();
      }
      looked = processorMs();
      lookIn(isAtWork ? LOOK_EVERY_MS_AT_WORK : LOOK_EVERY_MS);
    });
  };
  lookIn(LOOK_EVERY_MS);
  return { stop: () => timer.cancel() };
}
