// Where the log's lines go, in ways that nobody who reads them can hold up.
import { constants, fstatSync, openSync, write, writeSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import type { Native } from "../../shared/native/load.ts";

/** Told once of every write: the system's error code, or null, and how many bytes were taken. */
export type Done = (code: string | null, written: number) => void;

export interface Sink {
  /** how many bytes are gathered for one write at most; a longer line is one by itself */
  readonly share: number;
  /** Takes what it can at once, or has a thread do it, and calls `done`. Never waits, never throws. */
  write(bytes: Buffer, done: Done): void;
  /** As write(), at the end of the process, when no thread is waited for. */
  writeLast(bytes: Buffer, done: Done): void;
}

// What a pipe takes whole or not at all (PIPE_BUF of pipe(7)): lines of others who write to it do not get between.
const PIPE_SHARE = 4096;
const FILE_SHARE = 64 * 1024;

/**
 * The sink of an inherited descriptor. Its flags are those of everybody who shares it, a shell for one, and are left as they
 * are: a pipe or terminal is opened anew, which gives flags of our own; a socket has a flag for each write. A regular file
 * can wait for its disk whatever its flags, and so is written by a thread.
 */
export function descriptorSink(fd: number, native: Pick<Native, "writeNow"> | null): Sink {
  const stats = fstatSync(fd);
  if (stats.isFIFO() || stats.isCharacterDevice()) {
    const own = reopened(fd);
    if (own !== null) return atOnce((bytes) => writeSync(own, bytes));
  }
  return stats.isFile() || native === null ? threaded(fd) : atOnce((bytes) => written(native, fd, bytes));
}

// Not possible for everybody: a pipe may be another user's, and a terminal gone.
function reopened(fd: number): number | null {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}

function written(native: Pick<Native, "writeNow">, fd: number, bytes: Buffer): number {
  const count = native.writeNow(fd, bytes);
  if (count < 0) throw Object.assign(new Error("write"), { code: getSystemErrorName(count) });
  return count;
}

function tried(attempt: (bytes: Buffer) => number): Sink["write"] {
  return (bytes, done) => {
    let count = 0;
    try {
      count = attempt(bytes);
    } catch (error) {
      return done(codeOf(error), 0);
    }
    return done(null, count);
  };
}

const atOnce = (attempt: (bytes: Buffer) => number): Sink => ({
  share: PIPE_SHARE,
  write: tried(attempt),
  writeLast: tried(attempt),
});

const threaded = (fd: number): Sink => ({
  share: FILE_SHARE,
  write: (bytes, done) =>
    write(fd, bytes, (error, count) => done(error === null ? null : codeOf(error), count)),
  writeLast: tried((bytes) => writeSync(fd, bytes)),
});

/** The system's error code of what was thrown. */
export const codeOf = (error: unknown): string =>
  typeof (error as NodeJS.ErrnoException).code === "string"
    ? String((error as NodeJS.ErrnoException).code)
    : "EIO";
