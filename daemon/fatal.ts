// The last words of a daemon that cannot go on.
import type { Log } from "../shared/log.ts";
import type { Registry } from "./masters/registry.ts";

/**
 * Logs what ends the daemon: with its stack and everything that led to it, and with what was in hand. Never throws.
 * @param origin where Node met it: uncaughtException or unhandledRejection
 * @param inHand tells what the daemon was doing
 */
export function logFatal(log: Log, error: unknown, origin: string, inHand: () => object): void {
  log.error({ err: error, origin, ...told(inHand) }, "tund cannot go on");
}

// It is asked of a daemon in an unknown state.
function told(inHand: () => object): object {
  try {
    return inHand();
  } catch {
    return {};
  }
}

/** What the daemon has in hand. */
export const inHand = (registry: Pick<Registry, "measures">): object => ({
  uptimeSeconds: Math.round(process.uptime()),
  rssBytes: process.memoryUsage.rss(),
  ...registry.measures.tally(),
});
