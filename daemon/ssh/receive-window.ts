// How much a peer may send on a channel before it hears of more (RFC 4254 section 5.2): enough to keep the path full, and
// no more than that, for what is under way beyond it only waits in queues, and keystrokes wait behind it.
import { type ChannelStream, FIRST_WINDOW, incomingId, mayReceive } from "./ssh2/channels.ts";
import type { SshClient } from "./ssh2/client.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

// What a channel on a far path begins with, as with ssh; on a near one FIRST_WINDOW is all it ever needs. Between the two
// it goes by the round trip: as much as comes in that time at 200 MB/s.
const FIRST_FAR_WINDOW = 2 * MIB;
const FIRST_BYTES_PER_MS = 200_000;

// Where its own link is the slower one, OpenSSH's server reads ahead of it as far as the window lets it, into a buffer that
// it copies whole for each 32 KiB more (sshbuf_allocate): 0.2 s for the first 4 MiB, two seconds for 16, once in a channel's
// life. That is its limit, and once it is reached the copying goes on for ever, at 5 MB/s.
const MOST = 16 * MIB;
const SPARE = 4 * MIB; // beyond what is under way
// The peer hears of more when so much is free: a quarter of the smallest window, so that it seldom stands still.
const LEAST_GRANT = 64 * KIB;
// A rate over less time than this says more of the scheduler than of the path.
const SHORTEST_SPAN_MS = 10;

/** Memory that the windows of all channels together may promise beyond what each begins with, in bytes. */
export class WindowBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes what is wanted, or what is left. */
  take(wanted: number): number {
    const taken = Math.min(wanted, this.#left);
    this.#left -= taken;
    return taken;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

export interface WindowParts {
  budget: WindowBudget;
  /** the shortest round trip that was seen, in ms: longer ones have queues in them. Undefined before the first */
  roundTripMs: () => number | undefined;
  /** a monotonic clock, in ms */
  now: () => number;
}

/** What a window is about. */
export interface WindowedStream {
  /** received, and not yet taken by its reader */
  readonly readableLength: number;
  push(data: Buffer): void;
}

export class ReceiveWindow {
  readonly #stream: WindowedStream;
  readonly #parts: WindowParts;
  readonly #grant: (bytes: number) => void;
  /** what the peer may still send */
  #granted = FIRST_WINDOW;
  /** what of the budget it has */
  #taken = 0;
  #growth = 0;
  #since: number;
  #arrived = 0;
  /** what came in the round trip before this one */
  #before = 0;

  /** @param grant tells the peer of so many bytes more */
  constructor(stream: WindowedStream, parts: WindowParts, grant: (bytes: number) => void) {
    this.#stream = stream;
    this.#parts = parts;
    this.#grant = grant;
    this.#since = parts.now();
    this.refill();
  }

  /** Passes data on to the reader. False when the peer sent more than it was granted, and nothing was passed on. */
  receive(data: Buffer): boolean {
    if (!this.count(data.length)) return false;
    this.#stream.push(data);
    this.refill();
    return true;
  }

  /** As receive(), for data that nobody is to read. */
  count(length: number): boolean {
    if (length > this.#granted) return false;
    this.#granted -= length;
    this.#measure(length);
    return true;
  }

  /** To be called when the reader has taken something: only what is read makes room for more. */
  refill(): void {
    const held = this.#granted + this.#stream.readableLength;
    const size = this.#first + this.#growth;
    this.#keep(Math.max(size, held) - this.#first);
    const room = size - held;
    if (room < LEAST_GRANT) return;
    this.#granted += room;
    this.#grant(room);
  }

  /** Gives back what it has of the budget: the channel has ended. */
  release(): void {
    this.#growth = 0;
    this.#keep(0);
  }

  get #first(): number {
    const bytes = (this.#parts.roundTripMs() ?? 0) * FIRST_BYTES_PER_MS;
    return Math.min(FIRST_FAR_WINDOW, Math.max(FIRST_WINDOW, Math.round(bytes)));
  }

  // Two bandwidth-delay products, or one and the spare. One lean round trip says more of the scheduler than of the path.
  #measure(length: number): void {
    this.#arrived += length;
    const roundTripMs = this.#parts.roundTripMs() ?? 0;
    const now = this.#parts.now();
    const ms = now - this.#since;
    if (ms < Math.max(roundTripMs, SHORTEST_SPAN_MS)) return;
    const perRoundTrip = (this.#arrived * roundTripMs) / ms;
    const product = Math.max(perRoundTrip, this.#before);
    this.#before = perRoundTrip;
    this.#since = now;
    this.#arrived = 0;
    const size = Math.min(MOST, Math.round(product + Math.min(product, SPARE)));
    const wanted = Math.max(0, size - this.#first);
    if (wanted < this.#growth / 4) this.#growth = Math.round(this.#growth / 2);
    else if (wanted > this.#growth && this.#stream.readableLength === 0) this.#grow(wanted);
  }

  #grow(wanted: number): void {
    if (wanted > this.#taken) this.#taken += this.#parts.budget.take(wanted - this.#taken);
    this.#growth = Math.min(wanted, this.#taken);
  }

  // What was granted cannot be taken back: the budget has it again when it has been used.
  #keep(bytes: number): void {
    if (bytes >= this.#taken) return;
    this.#parts.budget.giveBack(this.#taken - bytes);
    this.#taken = bytes;
  }
}

/** The windows of one connection's channels, in place of ssh2's own, which are constant. */
export class ReceiveWindows {
  readonly #client: SshClient;
  readonly #parts: WindowParts;
  readonly #windows = new Map<number, { stream: ChannelStream; window: ReceiveWindow }>();

  constructor(client: SshClient, parts: WindowParts) {
    this.#client = client;
    this.#parts = parts;
  }

  /** To be called right behind connect(), before there is a channel. */
  begin(): void {
    this.#client.takeReceiving({
      data: (id, data) => this.#received(id, (window) => window.receive(data)),
      // No forwarded connection has a stderr: it goes nowhere, and must not use up the window.
      extendedData: (id, data) =>
        this.#received(id, (window) => {
          const isGranted = window.count(data.length);
          window.refill();
          return isGranted;
        }),
    });
  }

  /** How many channels there are. */
  get size(): number {
    return this.#windows.size;
  }

  /** To be called with each channel as soon as there is one. */
  add(stream: ChannelStream): void {
    const id = incomingId(stream);
    const window = new ReceiveWindow(stream, this.#parts, (bytes) => this.#client.grantWindow(stream, bytes));
    this.#windows.set(id, { stream, window });
    const read = stream.read.bind(stream);
    stream.read = (size) => {
      const chunk: unknown = read(size);
      if (chunk !== null) window.refill();
      return chunk;
    };
    stream.once("close", () => {
      window.release();
      this.#windows.delete(id);
    });
  }

  #received(id: number, by: (window: ReceiveWindow) => boolean): void {
    const channel = this.#windows.get(id);
    if (channel === undefined || !mayReceive(channel.stream) || by(channel.window)) return;
    // A peer that disregards the window would have us hold whatever it sends: this channel ends, and the rest goes nowhere.
    channel.window.release();
    this.#windows.delete(id);
    channel.stream.close();
    channel.stream.resume();
  }
}
