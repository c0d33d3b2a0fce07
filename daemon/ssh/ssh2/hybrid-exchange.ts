// A hybrid key exchange in an exchange of ssh2's: it is told that curve25519-sha256 was agreed on, whose messages these are,
// and what is in them comes from here. Nothing of the server's is read while something is computed elsewhere.
import { createHash } from "node:crypto";
import type { Hybrid } from "../kex/hybrids.ts";
import { sizes } from "../kex/hybrids.ts";
import type { Kems, KeyPair } from "../kex/kems.ts";
import { X25519, X25519_BYTES } from "../kex/x25519.ts";
import { messageOf } from "../../../shared/errors.ts";
import { Reader } from "../../wire-format.ts";
import type { Feed } from "./feed.ts";
import { type KeyExchange, type Protocol, violated } from "./internals.ts";

const KEX_ECDH_REPLY = 31; // RFC 5656 section 7.1

export interface HybridParts {
  protocol: Protocol;
  feed: Feed;
  kems: Kems;
  /** whose spare key pair may be used; null: one that has none */
  owner: string | null;
  hybrid: Hybrid;
}

/** Has an exchange of ssh2's, curve25519-sha256 to it, do this one instead. */
export function exchangeHybrid(exchange: KeyExchange, parts: HybridParts): void {
  const { feed, kems, owner, hybrid } = parts;
  const { name, kem, hash } = hybrid;
  exchange.type = name;
  exchange.hashName = hash;
  exchange.negotiated.kex = name;
  const start = exchange.start.bind(exchange);
  const parse = exchange.parse.bind(exchange);
  let ours: { pair: KeyPair; x25519: X25519 } | undefined;
  let secret: Buffer | undefined;
  exchange.generateKeys = () => undefined;
  exchange.convertPublicKey = (key) => key;
  exchange.getPublicKey = () => ours && Buffer.concat([ours.pair.publicKey, ours.x25519.ours]);
  // As a string (RFC 4251 section 5), which is what ssh2 makes of it.
  exchange.computeSecret = () => secret ?? new Error("there is no secret yet");
  exchange.start = () =>
    feed.waitFor(kems.keyPair(kem, owner), (pair) => {
      ours = { pair, x25519: new X25519() };
      start();
    });
  exchange.parse = (message) => {
    exchange.parse = parse;
    const payload = Buffer.from(message); // it is kept longer than the memory that it came in
    const theirs = publicValueOf(payload);
    if (ours === undefined || theirs === null) return parse(payload); // which says what is wrong with it
    const { pair, x25519 } = ours;
    const at = sizes[kem].ciphertext;
    if (theirs.length !== at + X25519_BYTES)
      return violated(
        parts.protocol,
        `it sent ${theirs.length} bytes for ${name}: there are ${at + X25519_BYTES}`,
      );
    const decapsulating = kems.decapsulate(kem, theirs.subarray(0, at), { pair, owner });
    return feed.waitFor(decapsulating, (shared) => {
      try {
        secret = createHash(hash)
          .update(shared)
          .update(x25519.secretWith(theirs.subarray(at)))
          .digest();
      } catch (error) {
        return violated(parts.protocol, `it sent no public value of X25519: ${messageOf(error)}`);
      }
      return parse(payload);
    });
  };
}

/** What the server has for the exchange in its SSH_MSG_KEX_ECDH_REPLY (RFC 5656 section 4); null when this is none. */
function publicValueOf(payload: Buffer): Buffer | null {
  try {
    const reader = new Reader(payload);
    if (reader.byte() !== KEX_ECDH_REPLY) return null;
    reader.string(); // its host key
    return reader.string();
  } catch {
    return null;
  }
}
