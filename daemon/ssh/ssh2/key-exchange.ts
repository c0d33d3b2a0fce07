// Key exchange (RFC 4253 sections 7 and 8) where ssh2's own will not do: hybrid exchanges and host certificates, which it does
// not know; group exchange, in which it takes any group and blocks for seconds; and how often a server may begin one.
import { KexInit, type KexLists } from "ssh2/lib/protocol/kex.js";
import type { Kems } from "../kex/kems.ts";
import { Allowance } from "./allowance.ts";
import type { Feed } from "./feed.ts";
import { exchangeInGroup } from "./group-exchange.ts";
import { exchangeHybrid } from "./hybrid-exchange.ts";
import type { KeyExchange, Protocol } from "./internals.ts";
import { isMarker, Negotiation } from "./negotiation.ts";

const CERTIFICATE = "-cert-v01@openssh.com";

// Each costs us a signature and a key pair, some milliseconds. A server that asks for new keys every 16 MiB of a fast link has
// its traffic between them; one that asks for nothing else has to wait.
const EXCHANGES_AT_ONCE = 64;
const EXCHANGES_PER_SECOND = 4;
const BYTES_FOR_ANOTHER = 1024 * 1024;

/** Methods of key exchange to offer, hybrid ones among them. */
export interface KexOffer {
  methods: readonly string[];
  /** what computes for the hybrid ones */
  kems: Kems;
  /** whose spare key pairs may be used; null: one that has none */
  owner: string | null;
}

export interface KeyExchangesOptions {
  /** none: those that ssh2 was told */
  kex: KexOffer | undefined;
  /** algorithms of host keys to ask for, certificates among them; none: those that ssh2 was told */
  hostKeys: readonly string[];
  feed: Feed;
  /** bytes that were read so far */
  received: () => number;
  /** calls `run` after so many ms */
  after: (ms: number, run: () => void) => void;
}

export class KeyExchanges {
  readonly #protocol: Protocol;
  readonly #options: KeyExchangesOptions;
  readonly #negotiation: Negotiation;
  readonly #allowance = new Allowance(EXCHANGES_AT_ONCE, EXCHANGES_PER_SECOND);
  /** what was negotiated, as the two sides call it */
  #algorithm = "";
  #received = 0;

  /** To be made right behind connect(), before anything was read. */
  constructor(protocol: Protocol, options: KeyExchangesOptions) {
    this.#protocol = protocol;
    this.#options = options;
    this.#offer(options);
    this.#negotiation = new Negotiation(protocol);
    let current: KeyExchange;
    Object.defineProperty(protocol, "_kex", {
      get: () => current,
      set: (exchange: KeyExchange) => {
        current = exchange;
        this.#begin(exchange);
      },
    });
  }

  /** Takes a KEXINIT of the server's, and gives what ssh2 is to read of it. */
  negotiate(payload: Buffer): Buffer {
    return this.#negotiation.take(payload);
  }

  /** Has ssh2 verify the exchange with the key that `certificate` certifies; that is to be ssh2's own buffer. */
  useCertified(certificate: Buffer, key: Buffer): void {
    const { negotiated } = this.#protocol._kex;
    negotiated.serverHostKey = this.#algorithm.replace(CERTIFICATE, "");
    const type = key.readUInt32BE();
    // What is hashed is the whole certificate; what is parsed are these two.
    Object.assign(certificate, {
      utf8Slice: () => key.toString("utf8", 4, 4 + type),
      slice: () => key.subarray(4 + type),
    });
  }

  #begin(exchange: KeyExchange): void {
    const { negotiated } = exchange;
    this.#algorithm = negotiated.serverHostKey;
    // ssh2 wants the key's type to be the algorithm's name, which for RSA certificates it is not.
    negotiated.serverHostKey = this.#algorithm.replace(/^rsa-sha2-\d+-cert/, "ssh-rsa-cert");
    this.#negotiation.compared();
    const { agreed: hybrid, original } = this.#negotiation;
    if (original !== undefined) exchange._remoteKexinit = original;
    const { feed, kex } = this.#options;
    if (hybrid !== undefined && kex !== undefined)
      exchangeHybrid(exchange, { ...kex, protocol: this.#protocol, feed, hybrid });
    else if (exchange.type === "groupex") exchangeInGroup(exchange);
    this.#count();
  }

  #count(): void {
    const { feed, received, after } = this.#options;
    const now = received();
    const isForTraffic = now - this.#received >= BYTES_FOR_ANOTHER;
    this.#received = now;
    const wait = isForTraffic ? 0 : this.#allowance.take();
    if (wait > 0) after(Math.ceil(wait), feed.hold());
  }

  // What an offer has beside methods says what its sender can do (ext-info-c, kex-strict-c-v00@openssh.com).
  #offer({ kex: offered, hostKeys }: KeyExchangesOptions): void {
    const { kex, serverHostKey, cs, sc } = this.#protocol._offer.lists;
    const methods = offered === undefined ? kex.array : [...offered.methods, ...kex.array.filter(isMarker)];
    this.#protocol._offer = new KexInit({
      kex: methods,
      serverHostKey: hostKeys.length === 0 ? serverHostKey.array : [...hostKeys],
      cs: arrays(cs),
      sc: arrays(sc),
    });
  }
}

const arrays = ({ cipher, mac, compress, lang }: KexLists["cs"]) => ({
  cipher: cipher.array,
  mac: mac.array,
  compress: compress.array,
  lang: lang.array,
});

/** What both sides had to offer, of what was compared last. */
export interface Offers {
  ours: string;
  theirs: string;
}

/** Listens to the negotiation until `isOver`: ssh2 tells nobody but its debug log what the server offers. */
export function overhearNegotiation(
  protocol: Protocol,
  onceOver: (stop: () => void) => void,
): () => Offers | undefined {
  let [ours, theirs]: (string | undefined)[] = [];
  protocol._debug = (line) => {
    const [, side, list] = /^Handshake: \((local|remote)\) [^:]*: (.*)$/.exec(line) ?? [];
    if (side === "local") ours = list;
    if (side === "remote") theirs = list;
  };
  onceOver(() => (protocol._debug = undefined));
  return () => (ours === undefined || theirs === undefined ? undefined : { ours, theirs });
}
