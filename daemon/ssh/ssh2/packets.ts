// How ssh2 makes the packets that it sends (RFC 4253 section 6), at less cost: it asks the system for the random bytes of each
// padding, a tenth of what a connection or an upload takes, and has each packet in new memory, another fifth of an upload.
import { randomFillSync } from "node:crypto";
import type { Wire } from "../wire.ts";
import type { Cipher, Protocol } from "./internals.ts";

interface GenericCipher {
  _encBlockLen: number;
  _aadLen: number;
  _macLen: number;
}

/** In bytes: what the packet is padded to a multiple of, less what stands in clear at its beginning; what follows it. */
interface Layout {
  block: number;
  clear: number;
  mac: number;
}

const SHORTEST_PADDING = 4;
// A packet that is full, as those of bulk data are; small ones come from Node's pool.
const LARGE_BYTES = 32 * 1024;
const RANDOM_BYTES = 1024;

// Of the compiled ciphers alone: where those are missing, others are the bottleneck.
function layoutOf(cipher: Cipher): Layout | undefined {
  switch (cipher.constructor.name) {
    case "AESGCMCipherBinding": // RFC 5647
      return { block: 16, clear: 4, mac: 16 };
    case "ChaChaPolyCipherBinding": // OpenSSH PROTOCOL.chacha20poly1305
      return { block: 8, clear: 4, mac: 16 };
    case "GenericCipherBinding": {
      const { _encBlockLen: block, _aadLen: clear, _macLen: mac } = cipher as unknown as GenericCipher;
      return { block, clear, mac };
    }
    default:
      return undefined;
  }
}

/** Random bytes, many at a time; none of them is given twice. */
class Random {
  readonly #bytes = Buffer.allocUnsafe(RANDOM_BYTES);
  #left = 0;

  fill(packet: Buffer, from: number, to: number): void {
    if (this.#left < to - from) {
      randomFillSync(this.#bytes);
      this.#left = RANDOM_BYTES;
    }
    for (let at = from; at < to; at++) packet[at] = this.#bytes[--this.#left] ?? 0;
  }
}

/** Makes one connection's packets. */
class PacketMaker {
  readonly #socket: Wire;
  readonly #random = new Random();
  /** what the last large packet was made in; the socket is done with it */
  #large: Buffer | undefined;

  constructor(socket: Wire) {
    this.#socket = socket;
  }

  /** To be given every cipher: each key exchange makes a new one. */
  adopt(cipher: Cipher): Cipher {
    const layout = layoutOf(cipher);
    if (layout === undefined) return cipher;
    const write = cipher._onWrite.bind(cipher);
    cipher.allocPacket = (payloadLength) => this.#make(payloadLength, layout);
    cipher._onWrite = (packet) => {
      write(packet);
      // What the system did not take at once stays with the socket.
      if (packet === this.#large && this.#socket.writableLength > 0) this.#large = undefined;
    };
    return cipher;
  }

  #make(payloadLength: number, { block, clear, mac }: Layout): Buffer {
    const unpadded = 5 + payloadLength;
    let padding = block - ((unpadded - clear) % block);
    if (padding < SHORTEST_PADDING) padding += block;
    const length = unpadded + padding;
    const packet = this.#memory(length + mac);
    packet.writeUInt32BE(length - 4);
    packet[4] = padding;
    this.#random.fill(packet, unpadded, length);
    return packet;
  }

  #memory(length: number): Buffer {
    if (length < LARGE_BYTES) return Buffer.allocUnsafe(length);
    if (this.#large?.length !== length) this.#large = Buffer.allocUnsafeSlow(length);
    return this.#large;
  }
}

/** Has a connection's packets made here, whatever keys it changes to. */
export function takeSending(protocol: Protocol, socket: Wire): void {
  const maker = new PacketMaker(socket);
  let cipher = maker.adopt(protocol._cipher);
  Object.defineProperty(protocol, "_cipher", {
    get: () => cipher,
    set: (fresh: Cipher) => {
      cipher = maker.adopt(fresh);
    },
  });
}
