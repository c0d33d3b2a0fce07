// As PID 1 tund is given every process whose parent has ended, and has to reap it; each child of ours is waited for alone.
import type { Clock } from "../shared/clock.ts";
import type { Children } from "./ssh/children.ts";

// Those that end together are reaped together, and ours have been taken note of by then.
const LATER_MS = 100;

/** Gives what is to be called for every SIGCHLD. */
export function orphanReaper(children: Pick<Children, "reapOrphans">, clock: Clock): () => void {
  let isDue = false;
  const look = (): void => {
    isDue = false;
    if (children.reapOrphans()) soon();
  };
  const soon = (): void => {
    if (isDue) return;
    isDue = true;
    clock.after(LATER_MS, look);
  };
  return soon;
}
