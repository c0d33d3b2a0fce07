// How Streamlined NTRU Prime writes polynomials (NTRU Prime round 3, section 3.4; draft-josefsson-ntruprime-streamlined): lists
// of numbers in mixed radix. What is done depends on the radices alone, which are public; encoding divides by 256 only.
// Decoding does divide, and is for public keys and ciphertexts.
import { HALF_Q, P, type Polynomial, Q } from "./ring.ts";

const LIMIT = 16_384;
const ROUNDED_RADIX = (Q + 2) / 3;
const SMALL_BYTES = Math.ceil(P / 4);
const THIRD = 10_923; // of 2^15

/** Bytes of an encoded polynomial with small coefficients. */
export const smallBytes = SMALL_BYTES;

/** Numbers below their radix each, as bytes. */
function encode(numbers: Int32Array, radices: Int32Array): Buffer {
  const bytes: number[] = [];
  let [values, bounds] = [numbers, radices];
  while (values.length > 1) {
    const length = values.length >> 1;
    const [left, leftBounds] = [new Int32Array(length + (values.length & 1)), new Int32Array(length + 1)];
    for (let i = 0; i < length; i++) {
      const bound = bounds[2 * i] as number;
      let value = (values[2 * i] as number) + Math.imul(values[2 * i + 1] as number, bound);
      let radix = Math.imul(bounds[2 * i + 1] as number, bound);
      for (; radix >= LIMIT; radix = (radix + 255) >> 8, value >>= 8) bytes.push(value & 0xff);
      left[i] = value;
      leftBounds[i] = radix;
    }
    if ((values.length & 1) === 1) {
      left[length] = values[values.length - 1] as number;
      leftBounds[length] = bounds[values.length - 1] as number;
    }
    [values, bounds] = [left, leftBounds];
  }
  let value = values[0] as number;
  for (let radix = bounds[0] as number; radix > 1; radix = (radix + 255) >> 8, value >>= 8)
    bytes.push(value & 0xff);
  return Buffer.from(bytes);
}

/** The numbers of which `encode` made these bytes; of any other bytes, some numbers below their radices. */
function decode(bytes: Uint8Array, radices: readonly number[]): number[] {
  let at = 0;
  const next = (): number => bytes[at++] ?? 0;
  const decoded = (bounds: readonly number[]): number[] => {
    const [only = 1] = bounds;
    if (bounds.length === 1) {
      let value = 0;
      for (let [radix, scale] = [only, 1]; radix > 1; radix = (radix + 255) >> 8, scale *= 256)
        value += next() * scale;
      return [value % only];
    }
    const pairs: { first: number; second: number; low: number; scale: number }[] = [];
    const higher: number[] = [];
    for (let i = 0; i + 1 < bounds.length; i += 2) {
      const [first, second] = [bounds[i] as number, bounds[i + 1] as number];
      let [radix, low, scale] = [first * second, 0, 1];
      for (; radix >= LIMIT; radix = (radix + 255) >> 8, scale *= 256) low += next() * scale;
      pairs.push({ first, second, low, scale });
      higher.push(radix);
    }
    if (bounds.length % 2 === 1) higher.push(bounds.at(-1) as number);
    const above = decoded(higher);
    const values = pairs.flatMap(({ first, second, low, scale }, i) => {
      const value = low + scale * (above[i] as number);
      return [value % first, Math.floor(value / first) % second];
    });
    return bounds.length % 2 === 1 ? [...values, above.at(-1) as number] : values;
  };
  return decoded(radices);
}

const allOf = (radix: number): Int32Array => new Int32Array(P).fill(radix);

/** A polynomial of R/q: a public key. */
export const encodeAny = (a: Polynomial): Buffer =>
  encode(
    a.map((x) => x + HALF_Q),
    allOf(Q),
  );

export const decodeAny = (bytes: Uint8Array): Polynomial =>
  Int32Array.from(decode(bytes, [...allOf(Q)]), (x) => x - HALF_Q);

/** One whose coefficients are multiples of 3: a ciphertext. */
export const encodeRounded = (a: Polynomial): Buffer =>
  encode(
    a.map((x) => Math.imul(x + HALF_Q, THIRD) >> 15),
    allOf(ROUNDED_RADIX),
  );

export const decodeRounded = (bytes: Uint8Array): Polynomial =>
  Int32Array.from(decode(bytes, [...allOf(ROUNDED_RADIX)]), (x) => 3 * x - HALF_Q);

/** One whose coefficients are -1, 0 or 1: two bits each. */
export function encodeSmall(a: Polynomial): Buffer {
  const bytes = Buffer.alloc(SMALL_BYTES);
  for (let i = 0; i < P; i++)
    bytes[i >> 2] = (bytes[i >> 2] as number) | (((a[i] as number) + 1) << (2 * (i & 3)));
  return bytes;
}

export const decodeSmall = (bytes: Uint8Array): Polynomial =>
  Int32Array.from({ length: P }, (_, i) => (((bytes[i >> 2] as number) >> (2 * (i & 3))) & 3) - 1);
