// Waiting for what comes when it comes, with an end to the patience.
import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 20;

/**
 * Tries `check` every 20 ms until it neither throws nor gives `false`, and gives what it gave. An attempt that never
 * settles counts as one that failed.
 * @throws the last error of `check` once `deadlineMs` milliseconds are over
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { deadlineMs = 10_000 }: { deadlineMs?: number } = {},
): Promise<Exclude<T, false>> {
  const deadline = performance.now() + deadlineMs;
  let last: unknown = new Error(`no answer within ${deadlineMs} ms`);
  for (;;) {
    const left = deadline - performance.now();
    try {
      const value = await within(check, Math.max(left, PAUSE_MS), last);
      if (value !== false) return value as Exclude<T, false>;
      last = new Error(`still false after ${deadlineMs} ms`);
    } catch (error) {
      last = error;
    }
    if (performance.now() + PAUSE_MS >= deadline) throw last;
    await sleep(PAUSE_MS);
  }
}

async function within<T>(check: () => T | Promise<T>, ms: number, last: unknown): Promise<T> {
  const over = new AbortController();
  const never = sleep(ms, undefined, { signal: over.signal }).then(() => {
    throw last;
  });
  try {
    return await Promise.race([(async () => check())(), never]);
  } finally {
    never.catch(() => {});
    over.abort();
  }
}
