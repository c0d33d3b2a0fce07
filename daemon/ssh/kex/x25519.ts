// X25519 (RFC 7748 section 6.1) by Node's crypto: our key pair of one exchange.
import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";

/** Bytes of a public value. */
export const X25519_BYTES = 32;
// SubjectPublicKeyInfo of RFC 8410 section 4, up to the public value.
const SPKI = Buffer.from("302a300506032b656e032100", "hex");

export class X25519 {
  /** our public value */
  readonly ours: Buffer;
  readonly #privateKey: KeyObject;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync("x25519");
    this.#privateKey = privateKey;
    this.ours = publicKey.export({ type: "spki", format: "der" }).subarray(-X25519_BYTES);
  }

  /** The secret that is shared with whoever has this public value. @throws Error for one that would give it away */
  secretWith(theirs: Buffer): Buffer {
    const publicKey = createPublicKey({ key: Buffer.concat([SPKI, theirs]), format: "der", type: "spki" });
    const secret = diffieHellman({ privateKey: this.#privateKey, publicKey });
    // OpenSSL refuses it too (RFC 7748 section 6.1).
    if (secret.every((byte) => byte === 0)) throw new Error("the secret would be zero");
    return secret;
  }
}
