// What is read of a link goes to ssh2 through here: no more of it in one turn of the event loop than a share, and nothing
// while something has to be decided first (a verdict on a host key) or the peer asks for more than it may.
import type { Wire } from "../wire.ts";
import type { Decipher, Protocol } from "./internals.ts";
import { VersionLines } from "./version-lines.ts";

// The clock is looked at once in so many packets: bulk data, which comes in packets of 32 KiB, never costs a look.
const PACKETS_A_LOOK = 32;
const SHARE_MS = 4;
// What may come while nothing is passed on, in bytes: the end of the connection should be noticed meanwhile.
const MOST_HELD = 256 * 1024;

export interface FeedOptions {
  /** runs what handles the peer's bytes */
  around: (run: () => void) => void;
  /** the server's version has come, once */
  onVersion: () => void;
  /** what was read makes no sense, or a handler of it threw: nothing is passed on any more */
  onError: (error: unknown) => void;
}

export class Feed {
  readonly #protocol: Protocol;
  readonly #socket: Wire;
  readonly #options: FeedOptions;
  /** what was read and not passed on yet, in order */
  #backlog: { chunk: Buffer; at: number }[] = [];
  #backlogBytes = 0;
  #holds = 0;
  #packets = 0;
  #began = 0;
  /** to stop behind the packet that is being handled */
  #stops = false;
  /** until the server's version has come */
  #versionLines: VersionLines | undefined = new VersionLines();
  #isRunning = false;
  #isScheduled = false;
  #isPaused = false;
  #isOver = false;

  /** To be made right behind connect(), before anything was read. */
  constructor(protocol: Protocol, socket: Wire, options: FeedOptions) {
    this.#protocol = protocol;
    this.#socket = socket;
    this.#options = options;
    protocol.parse = (chunk, at, length) => this.#take(chunk, at, length);
    this.#watchDeciphers();
  }

  /** Passes nothing on until what this gives is called; what comes meanwhile is kept, or left unread. */
  hold(): () => void {
    this.#holds++;
    this.#stops = true;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds--;
      this.#goOn();
    };
  }

  /** Passes nothing on until `work` is done; then has `then` run, as if it had been the next thing to read. */
  waitFor<T>(work: Promise<T>, then: (result: T) => unknown): void {
    const goOn = this.hold();
    work
      .then((result) => {
        if (!this.#isOver) this.#options.around(() => then(result));
      })
      .catch((error: unknown) => {
        if (this.#isOver) return;
        this.end();
        this.#options.onError(error);
      })
      .finally(goOn);
  }

  /** The connection has ended: what was not passed on is dropped. */
  end(): void {
    this.#isOver = true;
    this.#stops = true;
    this.#backlog = [];
    this.#backlogBytes = 0;
    if (this.#isPaused) this.#socket.resume(); // or its end would never be read
  }

  /** Whether part of what was read into this memory has not been passed on. */
  keeps(memory: ArrayBufferLike): boolean {
    return this.#backlog.some(({ chunk }) => chunk.buffer === memory);
  }

  #take(chunk: Buffer, at: number, length: number): void {
    if (this.#versionLines !== undefined) this.#takeVersion(this.#versionLines, chunk.subarray(at, length));
    else this.#pass(chunk, at, length);
  }

  #takeVersion(lines: VersionLines, chunk: Buffer): void {
    try {
      const rest = lines.take(chunk);
      if (rest === null) return;
      this.#versionLines = undefined;
      this.#options.onVersion();
      this.#pass(rest, 0, rest.length);
    } catch (error) {
      this.end();
      this.#options.onError(error);
    }
  }

  #pass(chunk: Buffer, at: number, length: number): void {
    this.#backlog.push({ chunk: length === chunk.length ? chunk : chunk.subarray(0, length), at });
    this.#backlogBytes += length - at;
    if (this.#holds === 0 && !this.#isScheduled) this.#run();
    else this.#pauseIfFull();
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#packets = 0;
    this.#began = performance.now();
    this.#stops = this.#holds > 0;
    try {
      this.#options.around(() => this.#passBacklog());
    } catch (error) {
      this.end();
      this.#options.onError(error);
    } finally {
      this.#isRunning = false;
    }
    if (this.#isOver) return;
    if (this.#backlog.length === 0) this.#resume();
    else {
      if (this.#holds === 0) this.#schedule();
      this.#pauseIfFull();
    }
  }

  #passBacklog(): void {
    for (let next = this.#backlog[0]; next !== undefined && !this.#stops; next = this.#backlog[0]) {
      const { chunk, at } = next;
      let now: number | undefined = at;
      while (now !== undefined && now < chunk.length && !this.#stops)
        now = this.#protocol._parse(chunk, now, chunk.length);
      if (this.#isOver) return;
      const passed = Math.min(now ?? chunk.length, chunk.length);
      this.#backlogBytes -= passed - at;
      if (passed === chunk.length) this.#backlog.shift();
      else next.at = passed;
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#goOn();
    });
  }

  #goOn(): void {
    if (this.#isOver || this.#holds > 0 || this.#isScheduled) return;
    if (this.#isRunning) this.#stops = false;
    else this.#run();
  }

  #pauseIfFull(): void {
    const most = this.#holds > 0 ? MOST_HELD : 0;
    if (this.#isPaused || this.#backlogBytes <= most) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  // Each key exchange makes a new one.
  #watchDeciphers(): void {
    let current: Decipher | undefined;
    Object.defineProperty(this.#protocol, "_decipher", {
      get: () => current,
      set: (decipher: Decipher) => {
        current = decipher;
        this.#watchPayloads(decipher);
      },
    });
  }

  #watchPayloads(decipher: Decipher): void {
    let handle = decipher._onPayload.bind(decipher);
    const handleAndLook: Decipher["_onPayload"] = (payload) => {
      const result = handle(payload);
      if (this.#isOver) return Infinity;
      // At the beginning of a key exchange ssh2 puts another one in its place.
      if (decipher._onPayload !== handleAndLook) {
        handle = decipher._onPayload.bind(decipher);
        decipher._onPayload = handleAndLook;
      }
      if (++this.#packets % PACKETS_A_LOOK === 0 && performance.now() - this.#began > SHARE_MS)
        this.#stops = true;
      return result === undefined && this.#stops ? false : result;
    };
    decipher._onPayload = handleAndLook;
  }
}
