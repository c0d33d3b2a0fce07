// One connection's SSH protocol by ssh2, made safe: the only thing of ssh2 that the rest of tund touches. Nothing throws after
// the end, what the peer may ask for is bounded, and an exception of ours in a callback is a failure of this connection alone.
import { type Algorithms, type AuthHandlerMiddleware, Client, type NegotiatedAlgorithms } from "ssh2";
import type { Clock } from "../../../shared/clock.ts";
import type { Wire } from "../wire.ts";
import type { Loans } from "../loans.ts";
import { doNothingAfterEnd } from "./after-end.ts";
import { type ChannelStream, countLoans, grantWindow, type Receiver, takeReceiving } from "./channels.ts";
import { Feed } from "./feed.ts";
import { Forwarding } from "./forwarding.ts";
import { GlobalRequests, type OnPong } from "./global-requests.ts";
import { type HostKeysRequest, readHostKeysRequest } from "./host-keys.ts";
import { limitInbound } from "./inbound.ts";
import { inside, nameOfReason, type PrivateClient, type Protocol } from "./internals.ts";
import { type KexOffer, KeyExchanges, type Offers, overhearNegotiation } from "./key-exchange.ts";
import { takeSending } from "./packets.ts";
import { UserAuth } from "./user-auth.ts";

/** Judges a host key: at once, or by calling `answer` later; nothing of the server's is read until then. */
export type HostVerdict = (key: Buffer, answer: (isGood: boolean) => void) => boolean | undefined;

export interface ClientOptions {
  socket: Wire;
  clock: Clock;
  /** runs what handles the peer's bytes */
  around?: (run: () => void) => void;
}

export interface ConnectOptions {
  user: string;
  algorithms: Algorithms;
  /** methods of key exchange to offer; those of `algorithms` when it is left out */
  kex?: KexOffer;
  /** what follows our name in the version exchange, as a comment (RFC 4253 section 4.2) */
  versionAddendum?: string | null;
  /** algorithms of host keys to ask for, certificates among them; those of `algorithms` when it is left out */
  hostKeys?: readonly string[];
  authHandler: AuthHandlerMiddleware;
  hostVerdict: HostVerdict;
  /** the server's version line has come (RFC 4253 section 4.2) */
  onVersion?: () => void;
  onKeyAccepted?: () => void;
  onPasswordExpired?: (message: string) => void;
}

export class SshClient {
  /** channels and listeners */
  readonly forwarding: Forwarding;
  readonly #client = new Client();
  readonly #inside: PrivateClient;
  readonly #options: ClientOptions;
  readonly #requests: GlobalRequests;
  readonly #errors = new Set<(error: unknown) => void>();
  #parts:
    | { feed: Feed; exchanges: KeyExchanges; userAuth: UserAuth; offers: () => Offers | undefined }
    | undefined;
  #isOver = false;
  #onHostKeys: ((request: HostKeysRequest) => void) | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#inside = inside(this.#client);
    this.#requests = new GlobalRequests(this.#inside, options.clock);
    this.forwarding = new Forwarding(this.#client, {
      requests: this.#requests,
      guarded: (listener) => this.#guarded(listener),
    });
    this.#client.once("close", () => this.#requests.end());
    // One failure can be told several times, and at any time.
    this.#client.on("error", (error) => this.#failed(error));
  }

  /** Begins: version, key exchange, authentication. @throws Error for algorithms that ssh2 does not know */
  connect({ user, algorithms, kex, hostKeys = [], authHandler, hostVerdict, ...on }: ConnectOptions): void {
    const { versionAddendum = null } = on;
    const { socket, clock, around = (run) => run() } = this.#options;
    this.#client.connect({
      sock: socket,
      username: user,
      algorithms,
      authHandler,
      hostVerifier: (key: Buffer, answer: (isGood: boolean) => void) => this.#judge(hostVerdict, key, answer),
      keepaliveInterval: 0, // ours counts received data as life; ssh2's does not
      readyTimeout: 0, // the phases have their own deadlines
      strictVendor: false, // or Unix sockets fail on servers that are not OpenSSH
      ident: versionAddendum === null ? "tund" : `tund ${versionAddendum}`,
    });
    const protocol = this.#protocol;
    const after = (ms: number, run: () => void) => void clock.after(ms, run);
    const onVersion = this.#guarded(on.onVersion ?? (() => undefined));
    const feed = new Feed(protocol, socket, { around, onVersion, onError: (error) => this.#broken(error) });
    doNothingAfterEnd(protocol, () => {
      this.#isOver = true;
      feed.end();
    });
    const onGlobalRequest = (payload: Buffer) => this.#hostKeys(payload);
    const onDisconnect = (code: number, text: string) =>
      this.#failed(Object.assign(new Error(text || nameOfReason(code)), { code }));
    const received = () => socket.bytesRead;
    const exchanges = new KeyExchanges(protocol, { kex, hostKeys, feed, received, after });
    const onKexInit = (payload: Buffer) => exchanges.negotiate(payload);
    const requests = this.#requests;
    limitInbound(this.#inside, { feed, socket, after, onGlobalRequest, onDisconnect, onKexInit, requests });
    this.#parts = {
      feed,
      exchanges,
      userAuth: new UserAuth(protocol, {
        user,
        serverVersion: () => this.serverVersion,
        onKeyAccepted: this.#guarded(on.onKeyAccepted ?? (() => undefined)),
        onPasswordExpired: this.#guarded(on.onPasswordExpired ?? (() => undefined)),
      }),
      offers: overhearNegotiation(protocol, (stop) => this.#client.once("handshake", stop)),
    };
  }

  /** Whether the protocol has come to its end: whatever is asked of it does nothing any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** User authentication, once it has been told to connect. */
  get userAuth(): UserAuth | undefined {
    return this.#parts?.userAuth;
  }

  /** What both sides had to offer, of what was compared last. */
  get offers(): Offers | undefined {
    return this.#parts?.offers();
  }

  /** The server's software version (RFC 4253 section 4.2), once it has been read. */
  get serverVersion(): string | null {
    return this.#inside._remoteVer ?? null;
  }

  /** Whether an exchange of keys is under way, whoever asked for it. */
  get isExchangingKeys(): boolean {
    return this.#protocol._kexinit !== undefined;
  }

  /** Whether strict key exchange is in force (OpenSSH PROTOCOL section 1.10). */
  get isStrict(): boolean {
    return this.#protocol._strictMode === true;
  }

  /** The server's host key and its signature over the key exchange: to be asked for in the host verdict, and not later. */
  get hostProof(): { hostKey: Buffer; signature: Buffer } {
    const { _hostKey, _sig } = this.#protocol._kex;
    return { hostKey: Buffer.from(_hostKey), signature: Buffer.from(_sig) };
  }

  /** Has the exchange verified with the key that `certificate` certifies; that is to be the key that was to be judged. */
  useCertified(certificate: Buffer, key: Buffer): void {
    this.#parts?.exchanges.useCertified(certificate, key);
  }

  /** Hears of every error, from now on. An error is the end of the connection, or follows it. */
  onError(listener: (error: unknown) => void): void {
    this.#errors.add(listener);
  }

  /** Hears of every end of a key exchange. */
  onHandshake(listener: (negotiated: NegotiatedAlgorithms) => void): void {
    this.#client.on("handshake", this.#guarded(listener));
  }

  /** Hears once that authentication has succeeded. */
  onReady(listener: () => void): void {
    this.#client.once("ready", this.#guarded(listener));
  }

  onBanner(listener: (text: string) => void): void {
    this.#client.on("banner", this.#guarded(listener));
  }

  /** Hears of the keys that the server says it has (OpenSSH PROTOCOL section 2.5): once, and no more than 64 of them. */
  onHostKeys(listener: (request: HostKeysRequest) => void): void {
    this.#onHostKeys = this.#guarded(listener);
  }

  /** Asks the server for any answer, a refusal too: it lives, and that is its round trip. Undefined: the connection has ended. */
  ping(onPong: OnPong): void {
    if (this.#isOver) onPong(undefined);
    else this.#requests.ping(this.#guarded(onPong));
  }

  /** Sends a global request that wants a reply (RFC 4254 section 4). Gives the reply's data, null for a refusal or the end. */
  request(name: string, data: Buffer): Promise<Buffer | null> {
    return this.#requests.request(name, data);
  }

  /** Begins a key exchange (RFC 4253 section 9), unless one is under way. Its end is the next handshake. */
  rekey(): void {
    if (!this.#isOver) this.#protocol.rekey();
  }

  /** Says goodbye (SSH_MSG_DISCONNECT) and ends what is sent. */
  end(): void {
    this.#client.end();
  }

  /** Whether part of what was read into this memory is kept there. */
  keepsPartOf(memory: ArrayBufferLike): boolean {
    if (this.#protocol._decipher?._packet?.buffer === memory) return true;
    return this.#parts?.feed.keeps(memory) === true;
  }

  /** Takes flow control of what is received away from ssh2. To be called before there is a channel. */
  takeReceiving(to: Receiver): void {
    takeReceiving(this.#protocol, to);
  }

  /** Lets the peer send so many bytes more on a channel (RFC 4254 section 5.2), unless that is being closed. */
  grantWindow(stream: ChannelStream, bytes: number): void {
    grantWindow(this.#protocol, stream, bytes);
  }

  /** Has packets made in memory that is used again, and `loans` told of those that come. To be called behind takeReceiving(). */
  reuseMemory(loans: Loans): void {
    takeSending(this.#protocol, this.#options.socket);
    countLoans(this.#protocol, loans);
  }

  get #protocol(): Protocol {
    return this.#inside._protocol;
  }

  // ssh2 takes anything but `false` for a yes, answers that come when it has ended for a reason to throw, and what comes behind
  // the key while nobody has judged it for keys in use.
  #judge(verdict: HostVerdict, key: Buffer, answer: (isGood: boolean) => void): void {
    const goOn = this.#parts?.feed.hold() ?? (() => undefined);
    const tell = (isGood: boolean) => {
      if (!this.#isOver) answer(isGood);
      goOn();
    };
    let told: boolean | undefined;
    try {
      told = verdict(key, this.#guarded(tell));
    } catch (error) {
      this.#failed(error);
      told = false;
    }
    // Whatever is not a yes is a no: a Promise, say, which ssh2 takes for one.
    if (told !== undefined) tell((told as unknown) === true);
  }

  #hostKeys(payload: Buffer): boolean {
    const request = readHostKeysRequest(payload);
    if (request === null) return false;
    const { wantsReply } = request;
    if (wantsReply) this.#protocol.requestSuccess();
    const listener = this.#onHostKeys;
    this.#onHostKeys = undefined;
    listener?.(request);
    return true;
  }

  // What the peer sent makes no sense: ssh2 says so with a level when it ends the connection itself, and throws otherwise.
  #broken(error: unknown): void {
    if (error instanceof Error && !("level" in error)) Object.assign(error, { level: "protocol" });
    this.#failed(error);
  }

  #failed(error: unknown): void {
    for (const listener of this.#errors) listener(error);
    this.#options.socket.end();
  }

  // ssh2 would take an exception of ours for one of its own, or let it through to nobody.
  #guarded<Args extends unknown[]>(listener: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        listener(...args);
      } catch (error) {
        this.#failed(error);
      }
    };
  }
}
