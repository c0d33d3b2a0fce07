// What the rooms know of logging: a message with fields, at a level. daemon/log.ts makes one.

type Write = (fields: object, message: string) => void;

export interface Log {
  debug: Write;
  info: Write;
  warn: Write;
  error: Write;
  /** Writes what nobody but us can have caused, with its stack and what led to it: once, wherever else it is told. */
  fault(error: unknown): void;
  /** A log whose lines all carry these fields as well. */
  child(fields: Record<string, unknown>): Log;
}
