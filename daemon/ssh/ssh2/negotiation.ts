// Which key exchange is agreed on (RFC 4253 section 7.1), where ssh2 does not know all of them: a KEXINIT in which a hybrid one
// wins is rewritten for ssh2, before it reads it.
import { Reader, sshString } from "../../wire-format.ts";
import { type Hybrid, hybrids } from "../kex/hybrids.ts";
import type { Protocol } from "./internals.ts";

const COOKIE_BYTES = 16;
const LISTS = 10;
const RESERVED_BYTES = 4;
/** What ssh2 is told was agreed on, where it was a hybrid one. */
const BASE = "curve25519-sha256";

/** Whether it says something of its sender, and is no method (RFC 8308 section 2.1; OpenSSH PROTOCOL section 1.10). */
export const isMarker = (name: string): boolean => /^(ext-info-|kex-strict-)/.test(name);

interface KexInit {
  /** up to the first list */
  head: Buffer;
  kex: string[];
  hostKeys: string[];
  /** from the second list on, in memory of its own */
  rest: Buffer;
  /** whether the server has guessed what will be agreed on, and sent the first message of it */
  follows: boolean;
}

export class Negotiation {
  readonly #protocol: Protocol;
  readonly #offered: string[];
  /** methods alone */
  readonly #ours: readonly string[];
  #agreed: Hybrid | undefined;
  #original: Buffer | undefined;

  /** To be made when what is offered stands in the protocol. */
  constructor(protocol: Protocol) {
    this.#protocol = protocol;
    this.#offered = protocol._offer.lists.kex.array;
    this.#ours = this.#offered.filter((name) => !isMarker(name));
  }

  /** The hybrid that the KEXINIT before agreed on, if it was one. */
  get agreed(): Hybrid | undefined {
    return this.#agreed;
  }

  /** The server's KEXINIT as it was sent, which is what is hashed. */
  get original(): Buffer | undefined {
    return this.#original;
  }

  /** Takes a KEXINIT of the server's. Gives what ssh2 is to read; what makes no sense it gets as it is. */
  take(payload: Buffer): Buffer {
    this.#original = Buffer.from(payload); // the memory that it came in may be used again
    this.#agreed = undefined;
    const theirs = read(payload);
    if (theirs === null) return payload;
    const agreed = this.#ours.find((name) => theirs.kex.includes(name));
    this.#agreed = hybrids.find(({ name }) => name === agreed);
    const { head, rest } = theirs;
    // With this flag ssh2 passes over the next packet, whatever was guessed.
    if (theirs.follows && this.#isGuessRight(theirs)) rest.writeUInt8(0, rest.length - 1 - RESERVED_BYTES);
    if (this.#agreed === undefined) return Buffer.concat([head, sshString(theirs.kex.join(",")), rest]);
    this.#protocol._offer.lists.kex.array = [BASE];
    return Buffer.concat([head, sshString([BASE, ...theirs.kex.filter(isMarker)].join(",")), rest]);
  }

  /** To be called when ssh2 has compared the two: what was offered is told when something else comes to nothing. */
  compared(): void {
    this.#protocol._offer.lists.kex.array = this.#offered;
  }

  // RFC 4253 section 7: both sides have to prefer the same method, and the same host key algorithm.
  #isGuessRight({ kex, hostKeys }: KexInit): boolean {
    const [hostKey] = this.#protocol._offer.lists.serverHostKey.array;
    return kex[0] === this.#ours[0] && hostKeys[0] === hostKey;
  }
}

function read(payload: Buffer): KexInit | null {
  try {
    const reader = new Reader(payload);
    const head = reader.bytes(1 + COOKIE_BYTES);
    const kex = reader.text().split(",");
    const from = reader.position;
    const hostKeys = reader.text().split(",");
    for (let list = 2; list < LISTS; list++) reader.string();
    const follows = reader.byte() !== 0;
    reader.bytes(RESERVED_BYTES);
    return { head, kex, hostKeys, rest: Buffer.from(payload.subarray(from, reader.position)), follows };
  } catch {
    return null;
  }
}
