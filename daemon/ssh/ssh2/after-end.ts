// What becomes of ssh2's protocol after its end. ssh2 closes its ciphers and compressors then and throws at whoever makes a
// packet: a verdict on a host key that comes late, a channel that is closed, a window that is granted. Here all of that does
// nothing, as with a socket that is gone.
import type { Cipher, PacketReader, PacketWriter, Protocol } from "./internals.ts";

const nothing = (): void => undefined;

const cipher: Cipher = {
  outSeqno: 0,
  allocPacket: (payloadLength) => Buffer.alloc(5 + payloadLength),
  encrypt: nothing,
  free: nothing,
  _onWrite: nothing,
};

const reader: PacketReader = { read: (payload) => payload, cleanup: nothing };

const writer: PacketWriter = {
  allocStart: 0,
  allocStartKEX: 0,
  alloc: (length) => Buffer.alloc(length),
  finalize: (packet) => packet,
  cleanup: nothing,
};

/** Has everything that is asked of the protocol after its end do nothing, and calls `onEnd` once, when it has come. */
export function doNothingAfterEnd(protocol: Protocol, onEnd: () => void): void {
  const destruct = protocol._destruct?.bind(protocol);
  protocol._destruct = (reason) => {
    protocol._destruct = nothing;
    try {
      destruct?.(reason);
    } finally {
      protocol._destruct = nothing; // ssh2 has removed it, and calls it at every fatal error
      protocol.parse = nothing;
      protocol._onWrite = nothing;
      protocol._cipher = cipher;
      protocol._packetRW = { read: reader, write: writer };
      protocol._kexinit = undefined; // or what is sent would be kept for the end of the key exchange
      protocol._queue = undefined;
      onEnd();
    }
  };
}
