import type { Log } from "../../shared/log.ts";

/** A log for tests of the rooms that write one. */
export const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  fault: () => undefined,
  child: () => silent,
};
