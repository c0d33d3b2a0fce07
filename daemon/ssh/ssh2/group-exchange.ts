// Diffie-Hellman group exchange (RFC 4419, RFC 8270). ssh2 takes whatever group the server sends, and has Node make it, which
// tests whether the prime is one: 2 s of the event loop for 3072 bits, 40 s for 8192. Here the group is checked as OpenSSH
// checks it (kexgexc.c, dh.c), and the arithmetic is OpenSSL's without that test.
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject, randomBytes } from "node:crypto";
import type { KeyExchange } from "./internals.ts";

const LEAST_BITS = 2048;
const MOST_BITS = 8192;
const LEAST_ONES = 4; // dh.c, dh_pub_is_valid

// Twice the strength of what is protected, as OpenSSH makes it (dh_gen_key), for the strongest groups that there are: RFC 7919
// section 5.2 wants 400 bits for 8192. With all bits of the group it would take ten times as long.
const EXPONENT_BYTES = 64;

// Any will do, as it is in no arithmetic of ours: with a group that OpenSSL has by name (g is 2 then), it would check far more.
const NO_GENERATOR = Buffer.from([3]);

/** Has an exchange of ssh2's do its arithmetic here. Its checks throw, which ends the connection. */
export function exchangeInGroup(exchange: KeyExchange): void {
  let group: Group | undefined;
  exchange.setDHParams = (prime, generator) => {
    group = new Group(unsigned(prime), unsigned(generator));
  };
  exchange.generateKeys = () => {
    if (group !== undefined) exchange._public ??= group.ours;
  };
  exchange.getDHParams = () =>
    group && { prime: positive(group.prime), generator: positive(group.generator) };
  exchange.computeSecret = (theirs) => {
    try {
      if (group === undefined) throw new Error("there is no group yet");
      return positive(group.secretWith(unsigned(theirs)));
    } catch (error) {
      return error as Error;
    }
  };
}

/** A group, and our key pair in it. */
export class Group {
  readonly prime: Buffer;
  readonly generator: Buffer;
  /** our public value */
  readonly ours: Buffer;
  readonly #key: KeyObject;

  /**
   * @param prime without leading zeros, as the generator is
   * @throws Error for a group that OpenSSH would not take either, or that no arithmetic can be done in
   */
  constructor(prime: Buffer, generator: Buffer) {
    this.prime = prime;
    this.generator = generator;
    const bits = bitsOf(prime);
    if (bits < LEAST_BITS || bits > MOST_BITS)
      throw new Error(
        `the server's group for key exchange has ${bits} bits: ${LEAST_BITS} to ${MOST_BITS} are allowed`,
      );
    if (((prime.at(-1) ?? 0) & 1) === 0)
      throw new Error("the server's group for key exchange has an even prime");
    if (!this.#isBetween(generator))
      throw new Error("the server's group for key exchange has a generator out of range");
    const x = randomBytes(EXPONENT_BYTES);
    x.writeUInt8(x.readUInt8() | 0x80); // so long, and no shorter
    this.#key = privateKey(prime, x);
    this.ours = withoutZeros(this.#power(generator));
    this.#check(this.ours, "our");
  }

  /** The secret that is shared with whoever has this public value. @throws Error for one that would give it away */
  secretWith(theirs: Buffer): Buffer {
    this.#check(theirs, "the server's");
    return withoutZeros(this.#power(theirs));
  }

  #check(value: Buffer, whose: string): void {
    if (!this.#isBetween(value)) throw new Error(`${whose} public value for key exchange is out of range`);
    if (onesOf(value) < LEAST_ONES)
      throw new Error(`${whose} public value for key exchange has fewer than ${LEAST_ONES} bits set`);
  }

  /** 1 < value < p - 1 */
  #isBetween(value: Buffer): boolean {
    const last = Buffer.from(this.prime); // p - 1, since p is odd
    last.writeUInt8(last.readUInt8(last.length - 1) & 0xfe, last.length - 1);
    const isOverOne = value.length > 1 || (value[0] ?? 0) > 1;
    return (
      isOverOne && (value.length < last.length || (value.length === last.length && value.compare(last) < 0))
    );
  }

  #power(base: Buffer): Buffer {
    return diffieHellman({ privateKey: this.#key, publicKey: publicKey(this.prime, base) });
  }
}

function bitsOf(number: Buffer): number {
  const [first] = number;
  return first === undefined ? 0 : (number.length - 1) * 8 + (32 - Math.clz32(first));
}

function onesOf(number: Buffer): number {
  let ones = 0;
  for (const byte of number) for (let bits = byte; bits > 0; bits &= bits - 1) ones++;
  return ones;
}

/** Of an mpint's content (RFC 4251 section 5), without leading zeros. @throws Error for a negative one */
function unsigned(number: Buffer): Buffer {
  if ((number[0] ?? 0) >= 0x80) throw new Error("a number of the key exchange is negative");
  return withoutZeros(number);
}

function withoutZeros(number: Buffer): Buffer {
  let from = 0;
  while (from < number.length && number[from] === 0) from++;
  return number.subarray(from);
}

/** As an mpint's content: with a zero before it where it would be negative. */
const positive = (number: Buffer): Buffer =>
  (number[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), number]) : number;

// DER (X.690): what OpenSSL reads keys from (RFC 5280, RFC 5208; PKCS #3 for the parameters).
const DH = Buffer.from("06092a864886f70d010301", "hex"); // 1.2.840.113549.1.3.1
const [INTEGER, BIT_STRING, OCTET_STRING, SEQUENCE] = [0x02, 0x03, 0x04, 0x30];

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff]; // never 64 KiB
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

const integer = (number: Buffer): Buffer => der(INTEGER, positive(number));
const algorithm = (prime: Buffer): Buffer =>
  der(SEQUENCE, DH, der(SEQUENCE, integer(prime), integer(NO_GENERATOR)));

const publicKey = (prime: Buffer, value: Buffer): KeyObject =>
  createPublicKey({
    key: der(SEQUENCE, algorithm(prime), der(BIT_STRING, Buffer.alloc(1), integer(value))),
    format: "der",
    type: "spki",
  });

const privateKey = (prime: Buffer, x: Buffer): KeyObject =>
  createPrivateKey({
    key: der(SEQUENCE, integer(Buffer.alloc(1)), algorithm(prime), der(OCTET_STRING, integer(x))),
    format: "der",
    type: "pkcs8",
  });
