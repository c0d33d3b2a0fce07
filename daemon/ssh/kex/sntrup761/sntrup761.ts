// sntrup761, Streamlined NTRU Prime with 761 coefficients, as a key encapsulation mechanism (NTRU Prime round 3, sections 3.5
// and 3.6; draft-josefsson-ntruprime-streamlined), of which an SSH client makes key pairs and decapsulates.
import { createHash, randomBytes } from "node:crypto";
import { sizes } from "../hybrids.ts";
import {
  decodeAny,
  decodeRounded,
  decodeSmall,
  encodeAny,
  encodeRounded,
  encodeSmall,
  smallBytes,
} from "./encoding.ts";
import { shortRandom, smallRandom, WEIGHT } from "./random.ts";
import { centred, isNotZero, mod3, modQ, P, type Polynomial, product, reciprocal } from "./ring.ts";

const HASH_BYTES = 32;
const bytes = sizes.sntrup761;

const hash = (prefix: number, ...parts: readonly Uint8Array[]): Buffer => {
  const sha = createHash("sha512").update(Uint8Array.of(prefix));
  for (const part of parts) sha.update(part);
  return sha.digest().subarray(0, HASH_BYTES);
};

/** A key pair, both halves as the specification writes them. */
export function generateKeyPair(): { publicKey: Buffer; secretKey: Buffer } {
  let [g, inverseOfG] = [smallRandom(), null as Polynomial | null];
  for (; (inverseOfG = reciprocal(g, mod3)) === null; g = smallRandom());
  const f = shortRandom();
  const publicKey = publicKeyOf(f, g);
  const rho = randomBytes(smallBytes);
  const secret = [encodeSmall(f), encodeSmall(inverseOfG), publicKey, rho, hash(4, publicKey)];
  return { publicKey, secretKey: Buffer.concat(secret) };
}

/** h = g/(3f), written. */
export function publicKeyOf(f: Polynomial, g: Polynomial): Buffer {
  const inverseOf3F = reciprocal(f, modQ);
  if (inverseOf3F === null) throw new Error("R/q is a field, and f is not zero");
  return encodeAny(product(inverseOf3F, g, modQ));
}

/**
 * The shared secret, of 32 bytes: for a ciphertext that nobody made for this key, one that nobody else knows.
 * @throws RangeError for lengths that no ciphertext or key has
 */
export function decapsulate(ciphertext: Buffer, secretKey: Buffer): Buffer {
  if (ciphertext.length !== bytes.ciphertext || secretKey.length !== bytes.secretKey)
    throw new RangeError(`sntrup761: ${ciphertext.length} and ${secretKey.length} bytes`);
  let at = 0;
  const field = (length: number): Buffer => secretKey.subarray(at, (at += length));
  const [f, inverseOfG] = [decodeSmall(field(smallBytes)), decodeSmall(field(smallBytes))];
  const [publicKey, rho, cache] = [field(bytes.publicKey), field(smallBytes), field(HASH_BYTES)];
  const r = decrypt(decodeRounded(ciphertext), f, inverseOfG);
  const input = encodeSmall(r);
  const again = Buffer.concat([
    encodeRounded(encrypt(r, decodeAny(publicKey))),
    hash(2, hash(3, input), cache),
  ]);
  let difference = 0;
  for (let i = 0; i < bytes.ciphertext; i++) difference |= (again[i] as number) ^ (ciphertext[i] as number);
  const isWrong = isNotZero(difference);
  for (let i = 0; i < smallBytes; i++)
    input[i] = (input[i] as number) ^ (isWrong & ((input[i] as number) ^ (rho[i] as number)));
  return hash(1 + isWrong, hash(3, input), ciphertext);
}

/** Of one that has not the right weight, the one of which nothing is known. */
function decrypt(c: Polynomial, f: Polynomial, inverseOfG: Polynomial): Polynomial {
  const e = product(c, f, modQ).map((x) => centred(centred(3 * x, modQ), mod3));
  const r = product(e, inverseOfG, mod3);
  let weight = 0;
  for (const x of r) weight += x & 1;
  const isWrong = isNotZero(weight - WEIGHT);
  for (let i = 0; i < P; i++) {
    const other = i < WEIGHT ? 1 : 0;
    r[i] = (r[i] as number) ^ (isWrong & ((r[i] as number) ^ other));
  }
  return r;
}

/** Round(h r): each coefficient is replaced by the nearest multiple of 3. */
const encrypt = (r: Polynomial, h: Polynomial): Polynomial =>
  product(h, r, modQ).map((x) => x - centred(x, mod3));
