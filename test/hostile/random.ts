// Choices that a seed decides, so that whatever was tried can be tried again.

/** A source of choices. */
export class Random {
  #state: number;

  /** @param seed an unsigned 32-bit number; equal seeds make equal choices */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** The next 32 bits, unsigned (splitmix32). */
  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return (bits ^ (bits >>> 15)) >>> 0;
  }

  /** A whole number from 0 to less than `limit`. */
  below(limit: number): number {
    return this.uint32() % limit;
  }

  /** Whether something that happens once in `times` happens now. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** One of several. @throws RangeError when there is none */
  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError("there is nothing to choose from");
    return choices[this.below(choices.length)] as T;
  }

  /** So many bytes. */
  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at++) bytes[at] = this.uint32();
    return bytes;
  }

  /** A source of its own for the part with this number, so that the part can be tried alone. */
  fork(part: number): Random {
    return new Random((this.#state ^ Math.imul(part + 1, 0x85ebca6b)) >>> 0);
  }
}
