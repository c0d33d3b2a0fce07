// One client of a mux socket: its requests, one after the other, answered over the registry in OpenSSH's words.
import type { Socket } from "node:net";
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import { endSoon } from "../lingering.ts";
import type { Registry } from "../masters/registry.ts";
import { Transaction, unheard } from "../masters/transaction.ts";
import { answerTo } from "./answers.ts";
import { decode, helloOf, type Message } from "./protocol.ts";

/** How much of what comes while a request is answered is kept, in bytes. */
const READ_AHEAD = 64 * 1024;
/** How long half a packet may stay half a packet, and a reply unread. */
const STALL_MS = 10_000;

export interface MuxOptions {
  registry: Registry;
  /** whether forwards that are made by it are kept when the daemon ends */
  isPersistent: boolean;
  clock: Clock;
  log: Log;
}

/** What the owner of the socket sees of a client. */
export interface MuxClient {
  /** The master is gone: what is under way is answered, and that is all. */
  end(): void;
}

/** Serves a connection to the mux socket of `host`. It says HELLO whatever the state of the link: a client that hears none goes its own way. */
export function serveMux(socket: Socket, host: string, options: MuxOptions): MuxClient {
  const served = new ServedClient(socket, host, options);
  socket.write(helloOf(["info"]));
  return served;
}

class ServedClient implements MuxClient {
  readonly #socket: Socket;
  readonly #host: string;
  readonly #options: MuxOptions;
  #received: Buffer = Buffer.alloc(0);
  #isGreeted = false;
  #isBusy = false;
  #isEnding = false;
  #stall: Timer | undefined;
  /** of the request that is being answered */
  #transaction: Transaction | undefined;

  constructor(socket: Socket, host: string, options: MuxOptions) {
    this.#socket = socket;
    this.#host = host;
    this.#options = options;
    socket.on("error", () => undefined); // 'close' follows
    const gone = () => this.#transaction?.abort(unheard());
    socket.on("end", gone);
    socket.on("close", () => {
      this.#stall?.cancel();
      gone();
    });
    socket.on("data", (chunk: Buffer) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      if (!this.#isBusy) void this.#serve();
      else if (this.#received.length > READ_AHEAD) socket.pause();
    });
    this.#expect("a greeting");
  }

  end(): void {
    this.#isEnding = true;
    if (!this.#isBusy) this.#close();
  }

  // Serial, as OpenSSH: while a request waits for its answer nothing more is done. It is read on, to hear of the client's end.
  async #serve(): Promise<void> {
    this.#isBusy = true;
    this.#stall?.cancel();
    for (let message = this.#next(); message !== undefined; message = this.#next()) {
      await this.#answer(message);
      if (this.#isEnding) return this.#close();
    }
    this.#isBusy = false;
    if (this.#received.length > 0 || !this.#isGreeted) this.#expect("the rest of a packet");
    if (this.#isEnding) return this.#close();
    this.#socket.resume();
    return undefined;
  }

  #next(): Message | undefined {
    if (this.#socket.destroyed) return undefined;
    const decoded = decode(this.#received);
    if (decoded.kind === "partial") return undefined;
    if (decoded.kind === "broken") return this.#drop(decoded.why);
    this.#received = this.#received.subarray(decoded.length);
    const isHello = decoded.message.type === "hello";
    if (isHello === this.#isGreeted) return this.#drop(isHello ? "a second HELLO" : "no HELLO first");
    return decoded.message;
  }

  async #answer(message: Message): Promise<void> {
    if (message.type === "hello") {
      this.#isGreeted = true;
      return;
    }
    const { registry, isPersistent, log } = this.#options;
    const transaction = new Transaction();
    this.#transaction = transaction;
    if (this.#socket.readableEnded) transaction.abort(unheard());
    const asked = { registry, host: this.#host, isPersistent, transaction, log };
    const reply = await answerTo(message, asked);
    log.debug({ host: this.#host, request: message.type, isAnswered: reply !== null }, "mux request");
    if (reply === null) this.#socket.destroy();
    else await this.#write(reply, transaction);
  }

  // A client that reads nothing gets nothing more.
  #write(reply: Buffer, transaction: Transaction): Promise<void> {
    const written = (error?: Error | null) => (error ? transaction.abort(unheard()) : transaction.commit());
    if (!this.#socket.writable) transaction.abort(unheard());
    else if (!this.#socket.write(reply, written)) return this.#drained();
    return Promise.resolve();
  }

  #drained(): Promise<void> {
    this.#expect("a reader");
    return new Promise((resolve) => {
      this.#socket.once("drain", resolve);
      this.#socket.once("close", resolve);
    }).then(() => this.#stall?.cancel());
  }

  #close(): void {
    this.#stall?.cancel();
    this.#socket.removeAllListeners("data"); // nothing more is answered
    endSoon(this.#socket, this.#options.clock);
  }

  #expect(what: string): void {
    this.#stall?.cancel();
    this.#stall = this.#options.clock.after(STALL_MS, () => this.#drop(`waited in vain for ${what}`));
  }

  #drop(why: string): undefined {
    this.#options.log.warn({ host: this.#host }, `mux client dropped: ${why}`);
    this.#socket.destroy();
    return undefined;
  }
}
