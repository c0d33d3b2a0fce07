// Arithmetic of Streamlined NTRU Prime (NTRU Prime round 3, section 3; draft-josefsson-ntruprime-streamlined): polynomials
// of 761 coefficients modulo x^761 - x - 1, over Z/4591 and Z/3. Coefficients are centred, -2295 to 2295 and -1 to 1.
// No branch, index or division depends on a coefficient: what is done is the same for every key. That holds for this code;
// what V8's compiler makes of it is its own affair, which is why X25519 stays below it in every exchange.

/** Degree of the modulus: how many coefficients there are. */
export const P = 761;
/** Modulus of the coefficients in R/q. */
export const Q = 4591;
/** Largest coefficient in R/q. */
export const HALF_Q = (Q - 1) / 2;

export type Polynomial = Int32Array;

/** A ring of coefficients, with what a Barrett reduction multiplies by: 2^18 and 2^27 over the modulus, rounded. */
export interface Ring {
  modulus: number;
  coarse: number;
  fine: number;
  /** 1/3 */
  third: number;
}

export const modQ: Ring = { modulus: Q, coarse: 57, fine: 29_235, third: -1530 };
/** There is no third modulo 3; a reciprocal is not divided by it. */
export const mod3: Ring = { modulus: 3, coarse: 87_381, fine: 44_739_243, third: 1 };

const { imul } = Math;

/** The centred remainder of a number of at most 2^31 / coarse: 37 million in R/q, 24576 in R/3. */
export function centred(x: number, { modulus, coarse, fine }: Ring): number {
  const near = x - imul(modulus, imul(coarse, x) >> 18);
  return near - imul(modulus, (imul(fine, near) + 67_108_864) >> 27);
}

/** The product of any polynomial and a small one. */
export function product(any: Polynomial, small: Polynomial, ring: Ring): Polynomial {
  const sums = new Int32Array(2 * P - 1);
  for (let i = 0; i < P; i++) {
    const factor = small[i] as number;
    for (let j = 0; j < P; j++) sums[i + j] = (sums[i + j] as number) + imul(any[j] as number, factor);
  }
  // x^p = x + 1
  for (let i = 2 * P - 2; i >= P; i--) {
    const carried = sums[i] as number;
    sums[i - P] = (sums[i - P] as number) + carried;
    sums[i - P + 1] = (sums[i - P + 1] as number) + carried;
  }
  const result = new Int32Array(P);
  for (let i = 0; i < P; i++) result[i] = centred(sums[i] as number, ring);
  return result;
}

/** -1 for a number below zero, else 0. */
const isNegative = (x: number): number => x >> 31;
/** -1 for any number but zero, else 0. */
export const isNotZero = (x: number): number => isNegative(x | -x);

/** 1/x in Z/modulus, by Fermat; the exponent is public. */
function inverse(x: number, ring: Ring): number {
  let result = 1;
  for (let i = ring.modulus - 2; i > 0; i--) result = centred(imul(result, x), ring);
  return result;
}

/**
 * 1/(3 a) in R/q, 1/a in R/3, by 2p - 1 division steps (Bernstein, Yang: Fast constant-time gcd computation and modular
 * inversion, section 7). Null where there is none, which is in R/3 alone: that much of a polynomial becomes known.
 */
export function reciprocal(a: Polynomial, ring: Ring): Polynomial | null {
  // One more coefficient than a polynomial has. v and r are what f and g have been made of.
  const [f, g, v, r] = [0, 1, 2, 3].map(() => new Int32Array(P + 1)) as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  r[0] = ring.third;
  f[0] = 1;
  f[P - 1] = -1;
  f[P] = -1;
  for (let i = 0; i < P; i++) g[P - 1 - i] = a[i] as number;
  const steps = 2 * P - 1;
  let delta = 1;
  for (let step = 0; step < steps; step++) {
    const swap = isNegative(-delta) & isNotZero(g[0] as number);
    delta = (delta ^ (swap & (delta ^ -delta))) + 1;
    const other = swap & (f[0] ^ (g[0] as number));
    const f0 = f[0] ^ other;
    const g0 = (g[0] as number) ^ other;
    // What is further behind has no influence any more.
    divide({ f, g, f0, g0, swap }, Math.min(P, steps - step), ring);
    follow({ v, r, f0, g0, swap }, Math.min(P, step + 1), ring);
  }
  if (delta !== 0) return null;
  const scale = inverse(f[0], ring);
  const result = new Int32Array(P);
  for (let i = 0; i < P; i++) result[i] = centred(imul(scale, v[P - 1 - i] as number), ring);
  return result;
}

interface Step {
  f0: number;
  g0: number;
  /** -1 where the two are swapped first, else 0 */
  swap: number;
}

/** f and g swapped if need be, then g = (f0 g - g0 f) / x. */
function divide(
  { f, g, f0, g0, swap }: Step & { f: Int32Array; g: Int32Array },
  last: number,
  ring: Ring,
): void {
  const { modulus, coarse, fine } = ring;
  f[0] = f0;
  for (let i = 1; i <= last; i++) {
    const fi = f[i] as number;
    const gi = g[i] as number;
    const other = swap & (fi ^ gi);
    f[i] = fi ^ other;
    const x = imul(f0, gi ^ other) - imul(g0, fi ^ other);
    const near = x - imul(modulus, imul(coarse, x) >> 18);
    g[i - 1] = near - imul(modulus, (imul(fine, near) + 67_108_864) >> 27);
  }
  g[last] = 0;
}

/** The same for what they are made of: v = x v, both swapped if need be, then r = f0 r - g0 v. */
function follow(
  { v, r, f0, g0, swap }: Step & { v: Int32Array; r: Int32Array },
  last: number,
  ring: Ring,
): void {
  const { modulus, coarse, fine } = ring;
  for (let i = last; i >= 0; i--) {
    const vi = i === 0 ? 0 : (v[i - 1] as number);
    const ri = r[i] as number;
    const other = swap & (vi ^ ri);
    v[i] = vi ^ other;
    const x = imul(f0, ri ^ other) - imul(g0, vi ^ other);
    const near = x - imul(modulus, imul(coarse, x) >> 18);
    r[i] = near - imul(modulus, (imul(fine, near) + 67_108_864) >> 27);
  }
}
