// Amounts for people. Scripts read the exact ones from --json.

const ages: readonly [number, string][] = [
  [86_400, "d"],
  [3600, "h"],
  [60, "m"],
];

/** Writes bytes in powers of 1024: `512`, `47.1K`, `1.0M`. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return String(bytes);
  let amount = bytes;
  let unit = "";
  for (const next of "KMGTPE") {
    // 1023.95 would round to 1024.0, which is 1.0 of the next unit.
    if (amount < 1023.95) break;
    amount /= 1024;
    unit = next;
  }
  return `${amount.toFixed(1)}${unit}`;
}

/** Writes a span of milliseconds in its largest whole unit: `5s`, `2m`, `3h`, `4d`. */
export function spanText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [size, unit] = ages.find(([least]) => seconds >= least) ?? [1, "s"];
  return `${Math.floor(seconds / size)}${unit}`;
}

/** Writes a round trip: `12.3ms`. */
export const roundTripText = (ms: number): string => `${ms.toFixed(1)}ms`;

/** Writes when something is tried again, as seen from `now` (ms since the epoch): `in 5s`. Empty when it is not. */
export const retryText = (retryAt: string | null, now: number): string =>
  retryAt === null ? "" : `in ${spanText(Date.parse(retryAt) - now)}`;
