// What a read of a master's socket brings is lent: it lies in memory that the next read uses again, if nobody refers to it by
// then. Whoever does not say that it is done with a packet is taken to keep it.

export class Loans {
  readonly #isPending: (memory: ArrayBufferLike) => boolean;
  /** what the read that is going on went into */
  #memory: ArrayBufferLike | undefined;
  #packets = 0;
  #back = 0;
  readonly #settling = new Set<() => boolean>();

  /** @param isPending whether a packet that has not come to its end is kept where it was read */
  constructor(isPending: (memory: ArrayBufferLike) => boolean) {
    this.#isPending = isPending;
  }

  begin(memory: ArrayBufferLike): void {
    this.#memory = memory;
    this.#packets = 0;
    this.#back = 0;
  }

  /** A packet has come to its end. */
  packet(): void {
    this.#packets++;
  }

  /** Nobody keeps anything of the packet. */
  giveBack(): void {
    this.#back++;
  }

  /** A packet's data is passed on; what lies in memory of its own, as packets do that came in two reads, was not lent. */
  passOn(data: Buffer): void {
    if (data.buffer !== this.#memory) this.#back++;
  }

  /**
   * For who is done with a packet's data by the end of the read: `settle` is called then, once for however many packets,
   * and gives whether that is so. False when no read is going on.
   */
  accept(data: Buffer, settle: () => boolean): boolean {
    if (this.#memory === undefined) return false;
    if (data.buffer === this.#memory) this.#back++;
    this.#settling.add(settle);
    return true;
  }

  /** Whether nobody refers to what was read any more. */
  end(): boolean {
    const memory = this.#memory;
    this.#memory = undefined;
    let isFree = this.#back === this.#packets;
    for (const settle of this.#settling) isFree = settle() && isFree;
    this.#settling.clear();
    return isFree && memory !== undefined && !this.#isPending(memory);
  }
}
