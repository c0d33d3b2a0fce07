// hostkeys-00@openssh.com: the keys that a server says it has (OpenSSH PROTOCOL section 2.5).
import { Reader } from "../../wire-format.ts";

const NAME = "hostkeys-00@openssh.com";
// A server has one of each type. ssh2 would parse, and verify, as many as fit a packet.
const MOST_KEYS = 64;

export interface HostKeysRequest {
  wantsReply: boolean;
  /** as they are on the wire, not proven yet; null: the list makes no sense, or is longer than any server's */
  keys: Buffer[] | null;
}

/** Reads one from an SSH_MSG_GLOBAL_REQUEST. Null when it is another request. */
export function readHostKeysRequest(payload: Buffer): HostKeysRequest | null {
  const reader = new Reader(payload);
  try {
    reader.byte();
    if (reader.text() !== NAME) return null;
    const wantsReply = reader.byte() !== 0;
    return { wantsReply, keys: keysIn(reader) };
  } catch {
    return null; // ssh2 says what is wrong with it
  }
}

function keysIn(reader: Reader): Buffer[] | null {
  const keys: Buffer[] = [];
  try {
    while (reader.left > 0 && keys.length <= MOST_KEYS) keys.push(Buffer.from(reader.string()));
  } catch {
    return null;
  }
  return keys.length > MOST_KEYS ? null : keys;
}
