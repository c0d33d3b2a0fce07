// The beginning of a connection to a dynamic forward: SOCKS 4, 4a, 5 or HTTP CONNECT, told apart by the first byte.
import type { Duplex } from "node:stream";
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import { endSoon } from "../lingering.ts";
import { HTTP_ESTABLISHED, looksLikeHttp, parseHttpConnect } from "./http-connect.ts";
import { httpReplyOf, socks5CodeOf } from "./proxy-reply.ts";
import {
  type Parsed,
  parseSocks4,
  parseSocks5Greeting,
  parseSocks5Request,
  type ProxyDestination,
  SOCKS4,
  socks4Reply,
  SOCKS5,
  socks5Reply,
  SOCKS5_WELCOME,
} from "./socks.ts";

export interface ProxyRequest {
  destination: ProxyDestination;
  /** Says that the channel is open. What came behind the request is still in the stream, which is paused. */
  grant(): void;
  /** Says why not, in the words of the client's protocol, and ends the stream. */
  refuse(failure: TundError): void;
}

interface Protocol {
  name: string;
  parse: (bytes: Buffer) => Parsed<ProxyDestination>;
  granted: Buffer;
  refusal: (failure: TundError) => Buffer;
}

const socks4: Protocol = {
  name: "SOCKS4",
  parse: parseSocks4,
  granted: socks4Reply(true),
  refusal: () => socks4Reply(false),
};
const socks5: Protocol = {
  name: "SOCKS5",
  parse: parseSocks5Request,
  granted: socks5Reply(0),
  refusal: (failure) => socks5Reply(socks5CodeOf(failure)),
};
const http: Protocol = {
  name: "HTTP CONNECT",
  parse: parseHttpConnect,
  granted: HTTP_ESTABLISHED,
  refusal: httpReplyOf,
};

const protocolOf = (first: number): Protocol | undefined => {
  if (first === SOCKS4) return socks4;
  if (first === SOCKS5) return socks5;
  return looksLikeHttp(first) ? http : undefined;
};

// 'close' follows, and says all.
const onError = (): void => undefined;

/**
 * Reads a client's request from a half-open stream, and no byte more than it. Within the deadline it is whole, or refused.
 * @param deadlineMs for the whole of the handshake
 * @throws TundError INVALID_REQUEST, once the stream was answered and ended; the message says what was wrong
 */
export function readProxyRequest(
  stream: Duplex,
  { clock, deadlineMs }: { clock: Clock; deadlineMs: number },
): Promise<ProxyRequest> {
  return new Promise((resolve, reject) => {
    const handshake = new Handshake(stream, clock, {
      onRequest: (request) => finish(() => resolve(request)),
      onFailure: (why) => finish(() => reject(new TundError("INVALID_REQUEST", why))),
    });
    const onEnd = () => handshake.fail("the client left before its request was whole");
    const onData = (chunk: Buffer) => handshake.take(chunk);
    const timer = clock.after(deadlineMs, () =>
      handshake.fail(`the handshake did not end within ${deadlineMs / 1000} s`),
    );
    const finish = (settle: () => void) => {
      timer.cancel();
      stream.off("data", onData).off("end", onEnd).off("close", onEnd).off("error", onError);
      settle();
    };
    stream.on("error", onError).on("end", onEnd).on("close", onEnd).on("data", onData).resume();
  });
}

interface Outcome {
  onRequest: (request: ProxyRequest) => void;
  onFailure: (why: string) => void;
}

class Handshake {
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #outcome: Outcome;
  #bytes: Buffer = Buffer.alloc(0);
  #protocol: Protocol | undefined;
  #isWelcomed = false;

  constructor(stream: Duplex, clock: Clock, outcome: Outcome) {
    this.#stream = stream;
    this.#clock = clock;
    this.#outcome = outcome;
  }

  /** Takes what has arrived. The parsers bound what can be waited for. */
  take(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    const [first] = this.#bytes;
    if (first === undefined) return;
    this.#protocol ??= protocolOf(first);
    const protocol = this.#protocol;
    if (protocol === undefined) return this.fail("not a SOCKS or HTTP CONNECT request");
    if (protocol === socks5 && !this.#isWelcomed && !this.#greet()) return undefined;
    const parsed = protocol.parse(this.#bytes);
    if (parsed.kind === "refused") return this.fail(parsed.reason, parsed.reply);
    if (parsed.kind === "done") return this.#done(protocol, parsed.value, parsed.length);
    return undefined;
  }

  /** Gives up, with what there is to say. */
  fail(why: string, reply?: Buffer): void {
    this.#outcome.onFailure(why);
    endSoon(this.#stream, this.#clock, reply);
  }

  #greet(): boolean {
    const greeting = parseSocks5Greeting(this.#bytes);
    if (greeting.kind === "refused") this.fail(greeting.reason, greeting.reply);
    if (greeting.kind !== "done") return false;
    this.#isWelcomed = true;
    this.#bytes = this.#bytes.subarray(greeting.length);
    this.#stream.write(SOCKS5_WELCOME);
    return this.#bytes.length > 0;
  }

  #done(protocol: Protocol, destination: ProxyDestination, length: number): void {
    const stream = this.#stream;
    const clock = this.#clock;
    stream.pause();
    const early = this.#bytes.subarray(length);
    this.#outcome.onRequest({
      destination,
      grant: () => void stream.write(protocol.granted),
      refuse: (failure) => endSoon(stream, clock, protocol.refusal(failure)),
    });
    // With the listeners gone, or it would be handed to them again.
    if (early.length > 0) stream.unshift(early);
  }
}
