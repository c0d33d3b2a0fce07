// The last words of a daemon that cannot go on.
import type { Log } from "../shared/log.ts";
import type { Registry } from "./masters/registry.ts";

/** What is known of the end. */
interface Circumstances {
  /** where Node met it: uncaughtException or unhandledRejection */
  origin: string;
  /** the names of the host in whose turn it was thrown, if it was one's */
  hosts: readonly string[];
  /** tells what the daemon was doing */
  inHand: () => object;
}

/** Logs what ends the daemon: with its stack and everything that led to it, and with what was in hand. Never throws. */
export function logFatal(log: Log, error: unknown, { origin, hosts, inHand: hand }: Circumstances): void {
  log.error({ err: error, origin, hosts, ...told(hand) }, "tund cannot go on");
}

// It is asked of a daemon in an unknown state.
function told(hand: () => object): object {
  try {
    return hand();
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
