// When a forward that was refused is asked for again, and what is most likely in its way. Pure.
import { TundError } from "../../shared/errors.ts";
import type { SettledSpec } from "./settled.ts";

const FIRST_MS = 250;
const LAST_MS = 30_000;

/** Milliseconds until the attempt that follows `refusals` (1 or more) in a row: quick at first, 30 s in the end. */
export const retryAfter = (refusals: number): number =>
  Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(refusals - 1, 16));

/** So many refusals, a minute and a half, and -R 0 takes whatever port the server gives instead of the one that it had. */
export const patience = 9;

/** What to say of a forward that the server refuses although it had it before. */
export function explainRefusal(failure: TundError, { bind }: SettledSpec): TundError {
  if (failure.code !== "FORWARD_REFUSED") return failure;
  const why =
    "path" in bind
      ? "the lost connection's socket file may be in the way (sshd removes it only with StreamLocalBindUnlink yes)"
      : "the lost connection's listener may still hold it, until the server notices that it is dead";
  return new TundError(failure.code, `${failure.message}; it was ours before: ${why}`, { cause: failure });
}
