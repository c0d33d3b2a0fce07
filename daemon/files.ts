// Reading files that somebody named: whatever stands there (a FIFO, a device, a network disk that is away), it takes a bounded
// time, room and number of threads, and what cannot be read whole is an error that says which file it was.
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Clock, Timer } from "../shared/clock.ts";

/** Why a file is not read: `message` names it, `why` alone does not. */
export class FileError extends Error {
  override readonly name = "FileError";
  readonly why: string;
  /** it did not answer, and may do so another time */
  readonly isStalled: boolean;

  constructor(path: string, why: string, isStalled = false) {
    super(`${path}: ${why}`);
    this.why = why;
    this.isStalled = isStalled;
  }
}

/** A file that is open. */
export interface OpenFile {
  readonly path: string;
  /** as it was when it was opened */
  readonly stats: BigIntStats;
  /** Reads what comes next, as much as there is room for; 0 at the end. @throws FileError, and what the file system throws */
  read(into: Buffer): Promise<number>;
  /** As it is now. @throws FileError, and what the file system throws */
  statsNow(): Promise<BigIntStats>;
}

/** Equal for a file that is as it was: another one by its name, and one that was written to, is another version. */
export const versionOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join(" ");

const DEADLINE_MS = 5000; // for one call; a disk that sleeps may need as long to wake
const READING_MS = 30_000; // for all calls that one reading takes
// A call that is out for longer gives its place to another file: as often as there are places for slow ones.
const SLOW_MS = 250;
const MOST_QUICK = 16;
const MOST_SLOW = 16;
const CHUNK_BYTES = 256 * 1024;

interface Call {
  path: string;
  run: () => Promise<unknown>;
  /** it is too late for what comes of it */
  isOver: boolean;
  fail: (why: FileError) => void;
  /** Gives it all of its time anew: it begins, or those before it do not hang. */
  restart: () => void;
}

/** One per daemon: it knows which files hang, and keeps threads for the others. */
export class Files {
  readonly #clock: Clock;
  /** by path, in their order: two calls at once for a file that hangs would cost two threads */
  readonly #lines = new Map<string, Call[]>();
  /** paths whose first call waits for a place */
  readonly #waiting = new Set<string>();
  /** by path */
  readonly #running = new Map<string, Call>();
  #quick = 0;
  #slow = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a call is out that may never come back: Node waits for it when the process is to end. */
  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  /** Whether there is something by that name. @throws FileError when it does not answer */
  async exists(path: string): Promise<boolean> {
    try {
      await this.#call(path, () => stat(path));
      return true;
    } catch (error) {
      if (error instanceof FileError) throw error;
      return false;
    }
  }

  /** Which version of a file or directory there is (versionOf), and when it was changed last; null: none. @throws FileError when it does not answer */
  async look(path: string): Promise<{ version: string; changedMs: number } | null> {
    try {
      const stats = await this.#call(path, () => stat(path, { bigint: true }));
      return { version: versionOf(stats), changedMs: Number(stats.ctimeMs) };
    } catch (error) {
      if (error instanceof FileError) throw error;
      return null;
    }
  }

  /**
   * Reads a regular file whole; /dev/null is an empty one.
   * @param most its size at most, in bytes
   * @throws FileError for what is no regular file, is larger, or does not answer; what the file system throws
   */
  read(path: string, most: number): Promise<{ content: Buffer; stats: BigIntStats }> {
    return this.use(path, async (file) => {
      const chunks: Buffer[] = [];
      for (let length = 0; ;) {
        const left = Math.max(Number(file.stats.size), length) + 1 - length;
        const chunk = Buffer.allocUnsafeSlow(Math.min(Math.max(left, 4096), CHUNK_BYTES));
        const count = await file.read(chunk);
        if (count === 0) return { content: Buffer.concat(chunks), stats: file.stats };
        length += count;
        if (length > most) throw new FileError(path, `it is larger than ${shown(most)}`);
        chunks.push(chunk.subarray(0, count));
      }
    });
  }

  /**
   * Opens a regular file for as long as `work` takes; /dev/null is an empty one.
   * @throws FileError for what is no regular file, or does not answer; what the file system and `work` throw
   */
  async use<T>(path: string, work: (file: OpenFile) => Promise<T>): Promise<T> {
    // Looked at before it is opened: that alone does things to some devices.
    const there = await this.#call(path, () => stat(path, { bigint: true }));
    if (await this.#isNullDevice(there))
      return work({
        path,
        stats: there,
        read: () => Promise.resolve(0),
        statsNow: () => Promise.resolve(there),
      });
    refuseOther(path, there);
    const handle = await this.#open(path);
    let waitedMs = 0;
    // What others before it take is not its own.
    const timed = async <U>(run: () => Promise<U>): Promise<U> => {
      if (waitedMs > READING_MS)
        throw new FileError(path, `it could not be read within ${READING_MS / 1000} s`, true);
      return this.#call(path, async () => {
        const from = this.#clock.monotonic();
        const value = await run();
        waitedMs += this.#clock.monotonic() - from;
        return value;
      });
    };
    try {
      const stats = await timed(() => handle.stat({ bigint: true }));
      refuseOther(path, stats);
      return await work({
        path,
        stats,
        read: async (into) => (await timed(() => handle.read(into, 0, into.length))).bytesRead,
        statsNow: () => timed(() => handle.stat({ bigint: true })),
      });
    } finally {
      // It waits for a read that hangs; nobody waits for it.
      handle.close().catch(() => undefined);
    }
  }

  #open(path: string): Promise<FileHandle> {
    // A FIFO that took the file's place would keep a thread until somebody writes to it.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    return this.#call(
      path,
      () => open(path, flags),
      (late) => void late.close().catch(() => undefined),
    );
  }

  async #isNullDevice({ rdev, mode }: BigIntStats): Promise<boolean> {
    if (!isKind(mode, constants.S_IFCHR)) return false;
    return (await stat("/dev/null", { bigint: true })).rdev === rdev;
  }

  /** One call that may block. `discard` gets what comes too late. */
  #call<T>(path: string, run: () => Promise<T>, discard?: (late: T) => void): Promise<T> {
    if (this.#running.get(path)?.isOver === true) return Promise.reject(stillOut(path));
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      const call: Call = {
        path,
        isOver: false,
        run: () =>
          run().then(
            (value) => {
              timer?.cancel();
              if (call.isOver) discard?.(value);
              else resolve(value);
            },
            (error: unknown) => {
              timer?.cancel();
              reject(error);
            },
          ),
        fail: (why) => {
          timer?.cancel();
          call.isOver = true;
          reject(why);
        },
        restart: () => {
          timer?.cancel();
          // What came while the process stood still is heard first.
          timer = this.#clock.after(DEADLINE_MS, () => void setImmediate(() => this.#late(call)));
        },
      };
      call.restart();
      this.#enqueue(call);
    });
  }

  #enqueue(call: Call): void {
    const line = this.#lines.get(call.path);
    if (line !== undefined) return void line.push(call);
    this.#lines.set(call.path, [call]);
    this.#waiting.add(call.path);
    this.#next();
  }

  #late(call: Call): void {
    if (call.isOver) return;
    const { path } = call;
    const running = this.#running.get(path);
    // The one before it has not had its time yet: there are only many who ask.
    if (running !== undefined && running !== call) return call.restart();
    const [other] = this.#running.keys();
    const others = `: ${this.#running.size} other files do not either, ${other} is one of them`;
    const hangs = running === call;
    call.fail(
      new FileError(path, `it did not answer within ${DEADLINE_MS / 1000} s${hangs ? "" : others}`, true),
    );
    const line = this.#lines.get(path) ?? [];
    if (hangs) for (const one of line.splice(1)) one.fail(stillOut(path));
    else line.splice(line.indexOf(call), 1);
    if (line.length > 0) return;
    this.#lines.delete(path);
    this.#waiting.delete(path);
  }

  #next(): void {
    for (const path of this.#waiting) {
      if (this.#quick >= MOST_QUICK) return;
      this.#waiting.delete(path);
      const [call] = this.#lines.get(path) ?? [];
      if (call !== undefined) this.#start(call);
    }
  }

  #start(call: Call): void {
    const { path } = call;
    let isSlow = false;
    this.#quick++;
    this.#running.set(path, call);
    call.restart();
    const timer = this.#clock.after(SLOW_MS, () => {
      if (this.#slow >= MOST_SLOW) return;
      isSlow = true;
      this.#slow++;
      this.#quick--;
      this.#next();
    });
    void call.run().then(() => {
      timer.cancel();
      if (isSlow) this.#slow--;
      else this.#quick--;
      this.#running.delete(path);
      const line = this.#lines.get(path) ?? [];
      line.shift();
      if (line.length === 0) this.#lines.delete(path);
      else this.#waiting.add(path); // behind all other files
      this.#next();
    });
  }
}

const stillOut = (path: string): FileError =>
  new FileError(path, "it does not answer: an earlier try still waits for it", true);

const isKind = (mode: bigint, kind: number): boolean => (Number(mode) & constants.S_IFMT) === kind;

const others: readonly [number, string][] = [
  [constants.S_IFIFO, "a FIFO"],
  [constants.S_IFSOCK, "a socket"],
  [constants.S_IFCHR, "a device"],
  [constants.S_IFBLK, "a device"],
];

function refuseOther(path: string, { mode }: BigIntStats): void {
  if (isKind(mode, constants.S_IFDIR))
    throw Object.assign(new Error(`EISDIR: illegal operation on a directory, read '${path}'`), {
      code: "EISDIR",
    });
  const [, kind] = others.find(([bits]) => isKind(mode, bits)) ?? [];
  if (kind !== undefined) throw new FileError(path, `it is ${kind}, not a regular file`);
}

const shown = (bytes: number): string =>
  bytes < 1 << 20 ? `${bytes >> 10} KiB` : `${bytes / (1 << 20)} MiB`;
