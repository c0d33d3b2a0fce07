// What the rooms know of logging: a message with fields, at a level. pino fits it; daemon/log.ts makes one.

type Write = (fields: object, message: string) => void;

export interface Log {
  debug: Write;
  info: Write;
  warn: Write;
  error: Write;
  /** A log whose lines all carry these fields as well. */
  child(fields: Record<string, unknown>): Log;
}
