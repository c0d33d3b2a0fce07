// Global requests that want a reply (RFC 4254 section 4). Replies carry no number: they belong to the requests in their order,
// and a server that leaves one out shifts all that follow. Some leave out what they do not know, keepalive@openssh.com among it:
// so a request is under way alone until the server has answered one of its name.
import type { Clock, Timer } from "../../../shared/clock.ts";
import { sshString, uint32 } from "../../wire-format.ts";
import { type PrivateClient, send } from "./internals.ts";

const GLOBAL_REQUEST = 80;
const CHANNEL_OPEN = 90;
const KEEPALIVE = "keepalive@openssh.com";
// A channel of a type that no server has is refused by its own number (RFC 4254 section 5.1): that answer belongs to nothing else.
const UNKNOWN_CHANNEL_TYPE = "ping@tund";
const LEAST_WINDOW = 32 * 1024;

// From then on something else is asked, too.
const OVERDUE_MS = 2000;
// Behind the answer to what was asked later, for servers that answer requests and channels in different threads.
const LATE_MS = 1000;

/** The server knows a request not, or has not answered it where it answered what was asked later. */
export class NotAnswered extends Error {}

type Answer = (failed?: unknown, data?: Buffer | null) => void;
/** Hears of the round trip in milliseconds, or undefined: the connection has ended. */
export type OnPong = (ms: number | undefined) => void;

const nothing = (): void => undefined;

interface Request {
  name: string;
  /** sends it, and puts what hears of the reply into ssh2's queue */
  start: () => void;
  failed: (error: unknown) => void;
}

interface Sent {
  name: string;
  /** when, by the monotonic clock */
  at: number;
  /** of its packet; undefined where it waited for new keys */
  sequence: number | undefined;
  answer: Answer;
}

export class GlobalRequests {
  readonly #inside: PrivateClient;
  readonly #clock: Clock;
  /** what the server answers: what RFC 4254 has, and what it has answered before */
  readonly #answered = new Set(["tcpip-forward", "cancel-tcpip-forward"]);
  /** in the order in which they were sent */
  readonly #sent: Sent[] = [];
  readonly #waiting: Request[] = [];
  #pinged: OnPong[] = [];
  #overdue: Timer | undefined;
  #late: Timer | undefined;
  /** the channel that was asked for in order to hear anything */
  #channel: { id: number; at: number; sequence: number | undefined } | undefined;
  #isKeepaliveIgnored = false;
  #isOver = false;

  /** To be made before the client connects. */
  constructor(inside: PrivateClient, clock: Clock) {
    this.#inside = inside;
    this.#clock = clock;
  }

  /**
   * Runs `start`, which is to send the request `name` by ssh2: when no reply can be taken for another's.
   * @param failed hears of what it threw
   */
  inTurn(name: string, start: () => void, failed: (error: unknown) => void): void {
    this.#waiting.push({ name, start, failed });
    this.#sendWaiting();
  }

  /** Sends a request. Gives the reply's data, null for a refusal, no answer, or the end. */
  request(name: string, data: Buffer): Promise<Buffer | null> {
    return new Promise((resolve) => {
      if (this.#isOver) return resolve(null);
      const answer: Answer = (failed, reply) =>
        resolve(failed === false ? Buffer.from(reply ?? Buffer.alloc(0)) : null);
      return this.inTurn(
        name,
        () => this.#start(name, data, answer),
        () => resolve(null),
      );
    });
  }

  /** Asks the server for any answer. Whoever asks while an answer is waited for hears of that one. */
  ping(onPong: OnPong): void {
    if (this.#isOver) return onPong(undefined);
    this.#pinged.push(onPong);
    if (this.#pinged.length > 1) return undefined;
    // The reply to whatever is under way will do.
    if (this.#sent.length > 0) return this.#armOverdue();
    if (this.#isKeepaliveIgnored) return this.#openChannel();
    return this.inTurn(KEEPALIVE, () => this.#start(KEEPALIVE, Buffer.alloc(0), nothing), nothing);
  }

  /** SSH_MSG_REQUEST_SUCCESS and SSH_MSG_REQUEST_FAILURE. Gives false for one that nobody asked for. */
  replied(isSuccess: boolean, data: Buffer): boolean {
    const first = this.#sent.shift();
    if (first === undefined) return false;
    this.#settle(first, () => first.answer(!isSuccess, data));
    return true;
  }

  /** SSH_MSG_UNIMPLEMENTED (RFC 4253 section 11.4), which names the packet that it answers. */
  unimplemented(sequence: number): void {
    const channel = this.#channel;
    if (channel?.sequence === sequence) {
      this.#inside._chanMgr.remove(channel.id);
      return this.#channelAnswered(channel);
    }
    const found = this.#sent.findIndex((one) => one.sequence === sequence);
    const isFirst = found === -1 && this.#sent[0]?.sequence === undefined;
    const [one] = this.#sent.splice(isFirst ? 0 : found, isFirst || found !== -1 ? 1 : 0);
    if (one !== undefined)
      this.#settle(one, () => one.answer(new NotAnswered(`it does not know ${one.name}`)));
    return undefined;
  }

  /** The connection has ended: nothing is answered any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#overdue?.cancel();
    this.#late?.cancel();
    const error = new Error("No response from server");
    for (const { answer } of this.#sent.splice(0)) answer(error);
    for (const { failed } of this.#waiting.splice(0)) failed(error);
    for (const onPong of this.#pinged.splice(0)) onPong(undefined);
  }

  #start(name: string, data: Buffer, answer: Answer): void {
    this.#inside._callbacks.push(answer);
    const head = Buffer.from([GLOBAL_REQUEST]);
    send(this.#inside._protocol, Buffer.concat([head, sshString(name), Buffer.from([1]), data]));
  }

  #sendWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const isSure = [next, ...this.#sent].every(({ name }) => this.#answered.has(name));
      if (this.#sent.length > 0 && !isSure && !this.#isOver) return;
      this.#waiting.shift();
      this.#send(next);
    }
  }

  #send({ name, start, failed }: Request): void {
    const { _callbacks: callbacks } = this.#inside;
    try {
      start();
    } catch (error) {
      return failed(error); // 'Not connected'
    }
    // ssh2's own queue stays empty: it would give each the reply to another.
    const answer = callbacks.pop();
    if (answer === undefined) return undefined;
    if (this.#isOver) return answer(new Error("No response from server"));
    this.#sent.push({ name, at: this.#clock.monotonic(), sequence: this.#lastSequence(), answer });
    if (this.#pinged.length > 0 || !this.#answered.has(name)) this.#armOverdue();
    return undefined;
  }

  /** Of the packet that was sent last, unless it waits for new keys. */
  #lastSequence(): number | undefined {
    const { _cipher, _kexinit } = this.#inside._protocol;
    return _kexinit === undefined ? (_cipher.outSeqno - 1) >>> 0 : undefined;
  }

  #settle({ name, at }: Sent, tell: () => void): void {
    if (!this.#answered.has(name)) this.#late?.cancel();
    this.#answered.add(name);
    tell();
    this.#sendWaiting();
    this.#pong(this.#clock.monotonic() - at);
  }

  #pong(ms: number): void {
    if (this.#unsure() === undefined) this.#overdue?.cancel();
    for (const onPong of this.#pinged.splice(0)) onPong(ms);
  }

  /** What is under way and may never be answered: nothing else is under way then. */
  #unsure(): Sent | undefined {
    return this.#sent.find(({ name }) => !this.#answered.has(name));
  }

  #armOverdue(): void {
    this.#overdue?.cancel();
    this.#overdue = this.#clock.after(OVERDUE_MS, () => this.#openChannel());
  }

  #openChannel(): void {
    if (this.#isOver || this.#channel !== undefined) return;
    const { _chanMgr: channels, _protocol: protocol } = this.#inside;
    const answered = (_error: unknown, stream?: { close(): void; resume(): void }) => {
      stream?.close(); // whatever it may have thought of
      stream?.resume();
      if (this.#channel !== undefined) this.#channelAnswered(this.#channel);
    };
    const id = channels.add(Object.assign(answered, { type: "direct-tcpip" }));
    if (id === -1) return;
    const numbers = [id, LEAST_WINDOW, LEAST_WINDOW].map(uint32);
    const head = Buffer.from([CHANNEL_OPEN]);
    send(protocol, Buffer.concat([head, sshString(UNKNOWN_CHANNEL_TYPE), ...numbers]));
    this.#channel = { id, at: this.#clock.monotonic(), sequence: this.#lastSequence() };
  }

  #channelAnswered({ at }: { at: number }): void {
    this.#channel = undefined;
    if (this.#isOver) return;
    const unsure = this.#unsure();
    if (unsure !== undefined && unsure.at <= at)
      this.#late = this.#clock.after(LATE_MS, () => this.#ignored(unsure));
    this.#pong(this.#clock.monotonic() - at);
  }

  /** What was asked later has been answered: this will not be. */
  #ignored(request: Sent): void {
    const at = this.#sent.indexOf(request);
    if (at === -1) return;
    this.#sent.splice(at, 1);
    if (request.name === KEEPALIVE) this.#isKeepaliveIgnored = true;
    request.answer(new NotAnswered(`it does not answer ${request.name}`));
    this.#sendWaiting();
  }
}
