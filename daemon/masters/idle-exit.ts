// The end of a tund that `tunctl -M` has started: nobody started it for itself, and so nobody would ever end it.
import type { Server } from "node:net";
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Registry } from "./registry.ts";

interface IdleExitOptions {
  registry: Pick<Registry, "holding" | "watch">;
  /** the control socket */
  server: Server;
  /** how long it has had nothing to do when it ends, in ms */
  afterMs: number;
  clock: Clock;
  /** @param why for the log */
  exit: (why: object) => void;
}

const WHY = "nobody holds a master here any longer, and nobody else has asked for one";

/** How tunctl has it started: `tund --while-held SECONDS`. Gives the milliseconds; null for every other command line. */
export function idleExitMs([option, seconds = "", ...more]: readonly string[]): number | null {
  const isIt = option === "--while-held" && /^[0-9]{1,5}$/.test(seconds) && more.length === 0;
  return isIt ? Number(seconds) * 1000 : null;
}

/**
 * Calls `exit` when there has been no master for a while and nobody has a connection to the control socket then, unless
 * somebody has ever asked for more than a master of their own: they count on finding a daemon.
 */
export function exitWhenIdle({ registry, server, afterMs, clock, exit }: IdleExitOptions): void {
  let timer: Timer | undefined;
  const consider = (): void => {
    const { occupants } = registry.holding;
    if (occupants !== "nobody") {
      timer?.cancel();
      timer = undefined;
      if (occupants === "others") void watching.then(({ stop }) => stop());
    } else
      timer ??= clock.after(afterMs, () => {
        timer = undefined;
        // Somebody may look just now, or be about to ask for something.
        server.getConnections((_, open) => (open === 0 ? exit({ why: WHY }) : consider()));
      });
  };
  // In a turn of its own: a master that tells of its end is still among the others.
  const onChange = () => queueMicrotask(consider);
  const watching = registry.watch(undefined, { onChange, onEnd: () => timer?.cancel() });
  void watching.then(consider);
}
