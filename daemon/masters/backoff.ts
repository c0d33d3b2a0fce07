// How long to wait before dialling again: exponential with full jitter, so that many daemons do not dial in step.

const FIRST_MS = 1000;
const LAST_MS = 60_000;

/**
 * Milliseconds to wait before the attempt that follows `failures` failed ones in a row (1 or more).
 * @param random a number in [0, 1)
 */
export function backoff(failures: number, random: number): number {
  const ceiling = Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(failures, 16));
  return Math.round(FIRST_MS + random * (ceiling - FIRST_MS));
}
