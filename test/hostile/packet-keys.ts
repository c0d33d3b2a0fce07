// Packets under keys: AES in Galois/counter mode (RFC 5647), and in counter mode with HMAC (RFC 4344, RFC 6668).
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { uint32 } from "../../daemon/wire-format.ts";

export type Cipher = "aes128-gcm@openssh.com" | "aes128-ctr";

/** What the packets of one direction are sealed with (RFC 4253 section 7.2). */
export interface Keys {
  key: Buffer;
  iv: Buffer;
  mac: Buffer;
}

/** In bytes: what packets are padded to a multiple of. */
export const BLOCK = 16;

const macOf = (key: Buffer, count: number, packet: Buffer): Buffer =>
  createHmac("sha256", key).update(uint32(count)).update(packet).digest();

/** RFC 5647: the counter behind the fixed part goes up by one a packet. */
const countUp = (iv: Buffer): void => {
  iv.writeBigUInt64BE((iv.readBigUInt64BE(4) + 1n) & 0xffffffffffffffffn, 4);
};

/** Makes packets of one direction. */
export class Sealer {
  readonly #keys: Keys;
  readonly #ctr: ReturnType<typeof createCipheriv> | undefined;
  readonly #nonce: Buffer;

  constructor(keys: Keys, cipher: Cipher | undefined) {
    this.#keys = keys;
    this.#nonce = Buffer.from(keys.iv.subarray(0, 12));
    if (cipher === "aes128-ctr")
      this.#ctr = createCipheriv("aes-128-ctr", keys.key.subarray(0, 16), keys.iv.subarray(0, 16));
  }

  get isLengthClear(): boolean {
    return this.#ctr === undefined;
  }

  seal(packet: Buffer, count: number): Buffer {
    if (this.#ctr !== undefined)
      return Buffer.concat([this.#ctr.update(packet), macOf(this.#keys.mac, count, packet)]);
    const gcm = createCipheriv("aes-128-gcm", this.#keys.key.subarray(0, 16), this.#nonce);
    gcm.setAAD(packet.subarray(0, 4));
    countUp(this.#nonce);
    const sealed = gcm.update(packet.subarray(4));
    gcm.final();
    return Buffer.concat([packet.subarray(0, 4), sealed, gcm.getAuthTag()]);
  }
}

/** Opens packets of one direction. */
export class Opener {
  readonly #keys: Keys;
  readonly #ctr: ReturnType<typeof createDecipheriv> | undefined;
  readonly #nonce: Buffer;
  /** the first block of a packet, deciphered for its length */
  #first: Buffer | undefined;

  constructor(keys: Keys, cipher: Cipher | undefined) {
    this.#keys = keys;
    this.#nonce = Buffer.from(keys.iv.subarray(0, 12));
    if (cipher === "aes128-ctr")
      this.#ctr = createDecipheriv("aes-128-ctr", keys.key.subarray(0, 16), keys.iv.subarray(0, 16));
  }

  /** How many bytes the packet takes that `received` begins with; undefined when too few are there to tell. */
  lengthOf(received: Buffer): number | undefined {
    if (this.#ctr === undefined) return received.length < 4 ? undefined : 4 + received.readUInt32BE() + 16;
    if (received.length < BLOCK) return undefined;
    this.#first ??= this.#ctr.update(received.subarray(0, BLOCK));
    return 4 + this.#first.readUInt32BE() + 32;
  }

  /** It believes the client: the code of authentication is not looked at where there is one of its own. */
  open(packet: Buffer): Buffer {
    if (this.#ctr !== undefined) {
      const rest = this.#ctr.update(packet.subarray(BLOCK, packet.length - 32));
      const opened = Buffer.concat([this.#first ?? Buffer.alloc(0), rest]);
      this.#first = undefined;
      return opened;
    }
    const gcm = createDecipheriv("aes-128-gcm", this.#keys.key.subarray(0, 16), this.#nonce);
    gcm.setAAD(packet.subarray(0, 4));
    gcm.setAuthTag(packet.subarray(-16));
    countUp(this.#nonce);
    return Buffer.concat([packet.subarray(0, 4), gcm.update(packet.subarray(4, -16)), gcm.final()]);
  }
}
