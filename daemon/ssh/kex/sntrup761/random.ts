// Random polynomials (NTRU Prime round 3, section 3.3), by the system's generator.
import { randomFillSync } from "node:crypto";
import { P, type Polynomial } from "./ring.ts";

/** How many coefficients of a short polynomial are not zero. */
export const WEIGHT = 286;

/** -1, 0 or 1, each as likely as the others. */
export function smallRandom(): Polynomial {
  const words = randomFillSync(new Int32Array(P));
  return words.map((word) => (Math.imul(word & 0x3fff_ffff, 3) >>> 30) - 1);
}

/** WEIGHT coefficients are -1 or 1, the others 0: the two lowest bits say so, and go where the others are sorted to. */
export function shortRandom(): Polynomial {
  const words = randomFillSync(new Int32Array(P));
  for (let i = 0; i < P; i++)
    words[i] = i < WEIGHT ? (words[i] as number) & -2 : ((words[i] as number) & -3) | 1;
  sort(words);
  return words.map((word) => (word & 3) - 1);
}

/** By a network of comparisons that depends on the length alone (Knuth, The Art of Computer Programming, 5.2.2 M). */
function sort(words: Int32Array): void {
  const half = 1 << (31 - Math.clz32(words.length - 1));
  for (let p = half; p > 0; p >>= 1) {
    orderAll(words, p, { d: p, r: 0 });
    for (let q = half; q > p; q >>= 1) orderAll(words, p, { d: q - p, r: p });
  }
}

function orderAll(words: Int32Array, p: number, { d, r }: { d: number; r: number }): void {
  for (let i = 0; i + d < words.length; i++) if ((i & p) === r) order(words, i, i + d);
}

function order(words: Int32Array, low: number, high: number): void {
  const a = words[low] as number;
  const b = words[high] as number;
  const isLess = ((b & ~a) | (~(a ^ b) & (b - a))) >> 31; // -1 where b < a, whatever overflows
  const other = isLess & (a ^ b);
  words[low] = a ^ other;
  words[high] = b ^ other;
}
