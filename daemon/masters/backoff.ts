// How long to wait before dialling again, with jitter, so that many hosts, and many daemons, do not dial in step.

const FIRST_MS = 1000;
const LAST_MS = 60_000;
const PROMPT_MS = 10_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** For so long a host that was well is dialled promptly, in milliseconds: most outages are over by then. */
export const PROMPT_FOR_MS = 15 * MINUTE_MS;
/** After so many milliseconds a TCP connection counts as not answered while that lasts: three SYNs have gone by then. */
export const SILENT_MS = 5000;

/**
 * Milliseconds to wait before the attempt that follows `failures` failed ones in a row (1 or more): exponential, up to a minute.
 * @param random a number in [0, 1)
 */
export const backoff = (failures: number, random: number): number =>
  Math.round(upTo(LAST_MS, failures, random));

/**
 * As backoff(), for a host that was well a moment ago: the attempt begins 10 s after the last one began, if not sooner.
 * @param tookMs how long ago that was
 */
export const promptly = (failures: number, random: number, tookMs: number): number =>
  Math.round(Math.max(FIRST_MS, upTo(PROMPT_MS, failures, random) - tookMs));

function upTo(mostMs: number, failures: number, random: number): number {
  const ceiling = Math.min(mostMs, FIRST_MS * 2 ** Math.min(failures, 16));
  return FIRST_MS + random * (ceiling - FIRST_MS);
}

const AFTER_REFUSALS_MS = [10_000, 30_000, 2 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS];
const MOST_AFTER_REFUSALS = 16;

/**
 * Milliseconds to wait before a login is tried again that was refused so many times in a row (1 or more), after it had been
 * accepted; null: it is not.
 */
export const afterRefusals = (refusals: number): number | null =>
  refusals > MOST_AFTER_REFUSALS ? null : (AFTER_REFUSALS_MS[refusals - 1] ?? HOUR_MS);
