// ML-KEM-768 (FIPS 203) as Node's crypto has it from 24.7 on, with OpenSSL 3.5.
import * as crypto from "node:crypto";
import { sizes } from "./hybrids.ts";

/** What Node's crypto has for it, where it has it: no types of Node 20 know of these. */
interface Crypto {
  generateKeyPairSync(type: "ml-kem-768"): { publicKey: crypto.KeyObject; privateKey: crypto.KeyObject };
  decapsulate(key: crypto.KeyObject, ciphertext: Buffer): Buffer;
  encapsulate(key: crypto.KeyObject): { sharedKey: Buffer; ciphertext: Buffer };
}

export class NativeMlKem {
  readonly #crypto = crypto as unknown as Crypto;

  /** A key pair. @throws Error where Node's crypto does not have it */
  generateKeyPair(): { publicKey: Buffer; secret: crypto.KeyObject } {
    const { publicKey, privateKey } = this.#crypto.generateKeyPairSync("ml-kem-768");
    const spki = publicKey.export({ type: "spki", format: "der" });
    return { publicKey: spki.subarray(-sizes.mlkem768.publicKey), secret: privateKey };
  }

  /** The shared secret of 32 bytes. */
  decapsulate(ciphertext: Buffer, secret: crypto.KeyObject): Buffer {
    return Buffer.from(this.#crypto.decapsulate(secret, ciphertext));
  }

  /** Whether it works here, found by doing it: versions do not tell, since OpenSSL may be the system's. */
  isThere(): boolean {
    try {
      const { publicKey, privateKey } = this.#crypto.generateKeyPairSync("ml-kem-768");
      const { sharedKey, ciphertext } = this.#crypto.encapsulate(publicKey);
      return this.decapsulate(Buffer.from(ciphertext), privateKey).equals(sharedKey);
    } catch {
      return false;
    }
  }
}
