// What went wrong, as it is kept and told.
import { timestamp } from "../../shared/clock.ts";
import type { TundError } from "../../shared/errors.ts";
import type { Failure } from "../../shared/records.ts";

/** A failure as it stands on the wire. @param now in milliseconds since the epoch */
export const failureRecord = ({ code, message }: TundError, now: number): Failure => ({
  code,
  message,
  at: timestamp(now),
});
