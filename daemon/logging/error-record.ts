// An error as the log has it: with its stack and everything that led to it, and within bounds, since what others send ends up
// in messages.

import { clipped } from "../../shared/clipped.ts";

export interface ErrorRecord {
  type: string;
  message: string;
  code?: string;
  stack?: string;
  cause?: ErrorRecord | string;
  /** of an AggregateError */
  errors?: (ErrorRecord | string)[];
}

/** of a text in the log, in UTF-16 units */
export const MOST_TEXT = 2048;
const MOST_STACK = 4096;
const MOST_CAUSES = 5;
const MOST_ERRORS = 5;

/** Makes it. Never throws. */
export function errorRecord(error: unknown, depth = 0): ErrorRecord | string {
  if (!(error instanceof Error))
    return clipped(
      safely(() => String(error)),
      MOST_TEXT,
    );
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  const record: ErrorRecord = { type: clipped(name, MOST_TEXT), message: clipped(message, MOST_TEXT) };
  if (typeof code === "string" || typeof code === "number") record.code = clipped(String(code), MOST_TEXT);
  if (stack !== undefined) record.stack = clipped(stack, MOST_STACK);
  if (depth >= MOST_CAUSES) return record;
  if (cause !== undefined) record.cause = errorRecord(cause, depth + 1);
  if (error instanceof AggregateError)
    record.errors = error.errors.slice(0, MOST_ERRORS).map((each) => errorRecord(each, depth + 1));
  return record;
}

function safely(make: () => string): string {
  try {
    return make();
  } catch {
    return "(cannot be shown)";
  }
}
