import type { Failure } from "../shared/records.ts";
import { spanText } from "./units.ts";

/** Writes a last failure for a table: what, and how long before `now` (ms since the epoch). Empty when there is none. */
export const failureText = (failure: Failure | null, now: number): string =>
  failure === null ? "" : `${failure.message} (${spanText(now - Date.parse(failure.at))} ago)`;
