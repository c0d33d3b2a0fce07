// What is read of a message before ssh2 reads it: pure.
import { sshString } from "../../wire-format.ts";

/**
 * A request on a channel (RFC 4254 section 5.4) of a type that ssh2 does not know: no channel of ours has a program at its other
 * end, and ssh2 ends the connection for an exit-signal that is cut short.
 */
export function withoutMeaning(payload: Buffer): Buffer {
  const typeAt = 5;
  if (payload.length < typeAt + 4) return payload; // which ssh2 refuses
  const wantsReply = payload[typeAt + 4 + payload.readUInt32BE(typeAt)];
  if (wantsReply === undefined) return payload;
  return Buffer.concat([payload.subarray(0, typeAt), sshString("ignored"), Buffer.from([wantsReply])]);
}

/** How many prompts an SSH_MSG_USERAUTH_INFO_REQUEST says that it has (RFC 4256 section 3.2); 0 for what is none. */
export function countPrompts(payload: Buffer): number {
  let at = 1;
  for (let field = 0; field < 3; field++) {
    if (at + 4 > payload.length) return 0;
    at += 4 + payload.readUInt32BE(at); // name, instruction, language
  }
  return at + 4 > payload.length ? 0 : payload.readUInt32BE(at);
}
