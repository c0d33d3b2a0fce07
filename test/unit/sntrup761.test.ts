// sntrup761 by a known answer, a published one that other implementations are tested with, and by what follows from it.
// That it agrees with OpenSSH's is seen in test/e2e/post-quantum.test.ts.
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  decodeAny,
  decodeSmall,
  encodeAny,
  encodeRounded,
  encodeSmall,
} from "../../daemon/ssh/kex/sntrup761/encoding.ts";
import { shortRandom, smallRandom } from "../../daemon/ssh/kex/sntrup761/random.ts";
import {
  centred,
  mod3,
  modQ,
  P,
  type Polynomial,
  product,
  reciprocal,
} from "../../daemon/ssh/kex/sntrup761/ring.ts";
import { decapsulate, generateKeyPair, publicKeyOf } from "../../daemon/ssh/kex/sntrup761/sntrup761.ts";
import known from "./sntrup761.json" with { type: "json" };

const SMALL = 191;
const PUBLIC_KEY = 1158;

const bytes = (hex: readonly string[]): Buffer => Buffer.from(hex.join(""), "hex");
const secretKey = bytes(known.secretKey);
const ciphertext = bytes(known.ciphertext);
const shared = bytes(known.shared);

const hash = (prefix: number, ...parts: readonly Buffer[]): Buffer => {
  const sha = createHash("sha512").update(Uint8Array.of(prefix));
  for (const part of parts) sha.update(part);
  return sha.digest().subarray(0, 32);
};

/** What a server does. */
function encapsulate(publicKey: Buffer): { ciphertext: Buffer; shared: Buffer } {
  const r = shortRandom();
  const rounded = product(decodeAny(publicKey), r, modQ).map((x) => x - centred(x, mod3));
  const confirm = hash(2, hash(3, encodeSmall(r)), hash(4, publicKey));
  const made = Buffer.concat([encodeRounded(rounded), confirm]);
  return { ciphertext: made, shared: hash(1, hash(3, encodeSmall(r)), made) };
}

const one: Polynomial = Int32Array.from({ length: P }, (_, i) => (i === 0 ? 1 : 0));

describe("sntrup761", () => {
  it("finds the secret of the known answer in its ciphertext", () => {
    expect(decapsulate(ciphertext, secretKey)).toEqual(shared);
  });

  it("makes the public key of the known answer from the secret polynomials in it", () => {
    const f = decodeSmall(secretKey.subarray(0, SMALL));
    const g = reciprocal(decodeSmall(secretKey.subarray(SMALL, 2 * SMALL)), mod3);
    expect(g).not.toBeNull();
    const publicKey = secretKey.subarray(2 * SMALL, 2 * SMALL + PUBLIC_KEY);
    expect(publicKeyOf(f, g as Polynomial)).toEqual(publicKey);
    expect(encodeAny(decodeAny(publicKey))).toEqual(publicKey);
  });

  it("gives for a ciphertext that was touched a secret that only the key's owner knows", () => {
    const rho = secretKey.subarray(2 * SMALL + PUBLIC_KEY, 3 * SMALL + PUBLIC_KEY);
    for (const at of [0, 500, 1006, 1007, 1038]) {
      const touched = Buffer.from(ciphertext);
      touched.writeUInt8(touched.readUInt8(at) ^ 1, at);
      expect(decapsulate(touched, secretKey)).toEqual(hash(0, hash(3, rho), touched));
    }
  });

  it("makes key pairs of its own that a server's secret comes out of", () => {
    for (let pair = 0; pair < 3; pair++) {
      const { publicKey, secretKey: own } = generateKeyPair();
      const made = encapsulate(publicKey);
      expect(decapsulate(made.ciphertext, own)).toEqual(made.shared);
    }
  });

  it("takes no ciphertext of another length", () => {
    expect(() => decapsulate(ciphertext.subarray(1), secretKey)).toThrow(RangeError);
  });

  it("makes short polynomials of weight 286, with as many ones as minus ones, in no order", () => {
    const sums = new Int32Array(P);
    let ones = 0;
    const times = 200;
    for (let time = 0; time < times; time++) {
      const f = shortRandom();
      expect(f.filter((x) => x !== 0)).toHaveLength(286);
      f.forEach((x, i) => (sums[i] = (sums[i] ?? 0) + Math.abs(x)));
      ones += f.filter((x) => x === 1).length;
    }
    // Each coefficient is there in 286 of 761 cases: 75 of 200, with a deviation of 6.8.
    for (const sum of sums) expect(Math.abs(sum - (times * 286) / P)).toBeLessThan(48);
    expect(Math.abs(ones / (times * 286) - 0.5)).toBeLessThan(0.02);
  });

  it("makes small polynomials in which each of the three coefficients is as likely", () => {
    const counts = [0, 0, 0];
    for (let time = 0; time < 100; time++)
      for (const x of smallRandom()) counts[x + 1] = (counts[x + 1] ?? 0) + 1;
    for (const count of counts) expect(Math.abs(count / (100 * P) - 1 / 3)).toBeLessThan(0.02);
  });

  it("knows which polynomials have no reciprocal in R/3, and that all but zero have one in R/q", () => {
    expect(reciprocal(new Int32Array(P), mod3)).toBeNull();
    expect(reciprocal(one, mod3)).toEqual(one);
    const a = smallRandom();
    const inverseOf3A = reciprocal(a, modQ) as Polynomial;
    const three = product(inverseOf3A, a, modQ).map((x) => centred(3 * x, modQ));
    expect(three).toEqual(one);
  });

  it("reduces every number that is reduced to the remainder that lies nearest to zero", () => {
    const wrong = [];
    for (const [ring, most] of [
      [modQ, 37_000_000],
      [mod3, 24_576],
    ] as const)
      for (let x = -most; x <= most; x += ring === modQ ? 4093 : 1) {
        const remainder = centred(x, ring);
        if (Math.abs(remainder) > (ring.modulus - 1) / 2 || (x - remainder) % ring.modulus !== 0)
          wrong.push(`${x} modulo ${ring.modulus} is not ${remainder}`);
      }
    expect(wrong).toEqual([]);
  });
});
