// Data as SSH has it on the wire (RFC 4251 section 5). Pure.

/** A string, as bytes or UTF-8 text: its length and itself. */
export function sshString(value: Buffer | string): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([uint32(bytes.length), bytes]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A positive integer as an mpint, from its big-endian bytes. */
export function mpint(bytes: Buffer): Buffer {
  let from = 0;
  while (from < bytes.length && bytes[from] === 0) from++;
  const rest = bytes.subarray(from);
  return sshString((rest[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), rest]) : rest);
}

/** Reads fields one after the other. Every method throws RangeError when there is not enough left. */
export class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** How many bytes have been read. */
  get position(): number {
    return this.#at;
  }

  bytes(length: number): Buffer {
    if (length > this.left) throw new RangeError("it ends in the middle of a field");
    return this.#bytes.subarray(this.#at, (this.#at += length));
  }

  byte(): number {
    return this.bytes(1).readUInt8();
  }

  uint32(): number {
    return this.bytes(4).readUInt32BE();
  }

  uint64(): bigint {
    return this.bytes(8).readBigUInt64BE();
  }

  string(): Buffer {
    return this.bytes(this.uint32());
  }

  text(): string {
    return this.string().toString("utf8");
  }
}
