// The lines of the log that are not written yet: so many and no more. Nothing that happens to the log happens to the daemon.
import { type Clock, type Timer } from "../../shared/clock.ts";
import type { Sink } from "./sink.ts";

/** How the log itself is. */
export interface LogHealth {
  /** lines that nobody will read */
  lost: number;
  /** why not, while that lasts */
  failure: string | null;
}

export interface LogQueueOptions {
  sink: Sink;
  clock: Clock;
  /** called when lines were lost and others can be written again */
  onLost: (lines: number, why: string) => void;
}

const MOST_BYTES = 256 * 1024;
// A line of what somebody else chose the length of.
const MOST_LINE_BYTES = 64 * 1024;
// Writes in one turn of the event loop.
const MOST_WRITES = 64;
const MOST_LAST_WRITES = 10_000;
const RETRY_MS = { first: 20, most: 1000 };
// A thread that has not come back in so long waits for a disk, and everybody after it would wait too.
const STUCK_MS = 1000;

/** Lines that are being written: what the sink has not taken of them, and how many they are. */
interface Batch {
  bytes: Buffer;
  lines: number;
  isBegun: boolean;
}

export class LogQueue {
  readonly #options: LogQueueOptions;
  readonly #lines: string[] = [];
  #bytes = 0;
  #batch: Batch | null = null;
  /** since when a thread has been writing */
  #writingSince: number | null = null;
  #retry: Timer | undefined;
  #retryMs = RETRY_MS.first;
  /** lines were refused: others follow when those that came before them are written, so that the gap is told in its place */
  #isFull = false;
  /** half a line is written, and the rest of it lost */
  #isTorn = false;
  #lost = 0;
  #untold = { lines: 0, why: "" };
  #failure: string | null = null;
  #isLast = false;

  constructor(options: LogQueueOptions) {
    this.#options = options;
  }

  get health(): LogHealth {
    return { lost: this.#lost, failure: this.#failure };
  }

  /** Takes a line, with its newline. Never waits, never throws. */
  write(line: string): void {
    if (line.length > MOST_LINE_BYTES) return this.#lose(1, "it was too long");
    this.#isFull ||= this.#bytes + line.length > MOST_BYTES;
    if (this.#isFull && !this.#isLast) return this.#lose(1, this.#failure ?? explain("EAGAIN"));
    this.#lines.push(line);
    this.#bytes += line.length;
    if (!this.#isBusy) this.#pump();
  }

  /**
   * Tries once more to write what is left: the process ends, and what cannot be written at once never will be. What is
   * written to it from now on is taken whatever there is.
   */
  flush(): void {
    const { clock, sink } = this.#options;
    this.#isLast = true;
    this.#retry?.cancel();
    if (this.#writingSince !== null) {
      this.#batch = null; // the thread's, which exit(3) waits for
      if (clock.monotonic() - this.#writingSince > STUCK_MS) return;
    }
    for (let left = MOST_LAST_WRITES; left > 0; left--) {
      const batch = this.#next();
      if (batch === null) return;
      sink.writeLast(batch.bytes, (code, written) => {
        this.#settle(batch, code, written);
        if (code !== null) left = 0;
      });
    }
  }

  get #isBusy(): boolean {
    return this.#writingSince !== null || this.#retry !== undefined;
  }

  #pump(): void {
    const { sink, clock } = this.#options;
    for (let writes = 0; !this.#isBusy; writes++) {
      if (writes === MOST_WRITES) return this.#again(0);
      const batch = this.#next();
      if (batch === null) return this.#tellLoss();
      let isAtOnce = true;
      this.#writingSince = clock.monotonic();
      sink.write(batch.bytes, (code, written) => {
        this.#writingSince = null;
        this.#settle(batch, code, written);
        if (!isAtOnce && !this.#isBusy) this.#pump();
      });
      isAtOnce = false;
    }
  }

  #settle(batch: Batch, code: string | null, written: number): void {
    if (code === "EAGAIN") {
      this.#failure = explain(code);
      this.#again(this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most);
      return;
    }
    this.#retryMs = RETRY_MS.first;
    this.#failure = code === null ? null : explain(code);
    if (code === null && written < batch.bytes.length) {
      batch.isBegun = true;
      batch.bytes = batch.bytes.subarray(written);
      return;
    }
    this.#batch = null;
    if (this.#failure === null) return;
    this.#isTorn = batch.isBegun;
    this.#lose(batch.lines, this.#failure);
  }

  #again(ms: number): void {
    if (this.#isLast) return;
    this.#retry = this.#options.clock.after(ms, () => {
      this.#retry = undefined;
      this.#pump();
    });
  }

  // As many whole lines as the sink likes to have in one write.
  #next(): Batch | null {
    if (this.#batch !== null) return this.#batch;
    let text = "";
    let lines = 0;
    for (const line of this.#lines) {
      if (lines > 0 && text.length + line.length > this.#options.sink.share) break;
      text += line;
      lines++;
    }
    if (lines === 0) return null;
    this.#lines.splice(0, lines);
    this.#bytes -= text.length;
    const bytes = Buffer.from(this.#isTorn ? `\n${text}` : text);
    this.#isTorn = false;
    return (this.#batch = { bytes, lines, isBegun: false });
  }

  #lose(lines: number, why: string): void {
    this.#lost += lines;
    this.#untold = { lines: this.#untold.lines + lines, why };
  }

  // Everything that was taken is written: what is told now stands where the gap is.
  #tellLoss(): void {
    this.#isFull = false;
    const { lines, why } = this.#untold;
    if (lines === 0 || this.#failure !== null) return;
    this.#untold = { lines: 0, why: "" };
    this.#options.onLost(lines, why);
  }
}

const reasons = new Map([
  ["EAGAIN", "its reader stands still"],
  ["EIO", "its terminal is gone"],
  ["EPIPE", "nobody reads it any more"],
  ["ENOSPC", "no space left on device"],
  ["EDQUOT", "the disk quota is used up"],
  ["EFBIG", "the file is as large as it may be"],
]);

const explain = (code: string): string => {
  const reason = reasons.get(code);
  return reason === undefined ? code : `${reason} (${code})`;
};
