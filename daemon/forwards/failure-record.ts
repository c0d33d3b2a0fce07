// What went wrong, as it is kept and told.
import { timestamp } from "../../shared/clock.ts";
import type { Failure } from "../../shared/records.ts";
import { messageOf, TundError } from "../../shared/errors.ts";

/** What was thrown, as the kind of error that callers act on. */
export const asTundError = (error: unknown): TundError =>
  error instanceof TundError ? error : new TundError("INTERNAL", messageOf(error), { cause: error });

/** A failure as it stands on the wire. @param now in milliseconds since the epoch */
export function failureRecord(error: unknown, now: number): Failure {
  const { code, message } = asTundError(error);
  return { code, message, at: timestamp(now) };
}
