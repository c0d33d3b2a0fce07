// How long a caller is willing to wait, over everything that its request needs.
import type { Clock, Timer } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";

export interface Deadline {
  /** rejects with TIMEOUT when it is over */
  over: Promise<never>;
  /** calls it off */
  cancel(): void;
}

/** A deadline in so many seconds; none at all when they are left out. */
export function deadlineIn(seconds: number | undefined, clock: Clock): Deadline {
  let timer: Timer | undefined;
  const over = new Promise<never>((_, reject) => {
    if (seconds === undefined) return;
    const late = () => reject(new TundError("TIMEOUT", `it was not done within ${seconds} s`));
    timer = clock.after(seconds * 1000, late);
  });
  over.catch(() => undefined); // whoever waits hears of it
  return { over, cancel: () => timer?.cancel() };
}
