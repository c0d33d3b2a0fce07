// Public keys as they are on the wire (RFC 4253 section 6.6): what they are called and how people compare them.
import { createHash } from "node:crypto";

/** `SHA256:` and the digest in base64 without padding: what ssh and ssh-keygen -l show for a key. */
export const fingerprint = (key: Buffer): string =>
  `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;

/** The key's type, its blob's first field (`ssh-ed25519`), or null when that is no name (RFC 4251 section 6). */
export function keyType(blob: Buffer): string | null {
  if (blob.length < 4) return null;
  const end = 4 + blob.readUInt32BE(0);
  if (end > blob.length) return null;
  const name = blob.toString("latin1", 4, end);
  // The blob may come from anybody, and its type is shown to people: no control characters get through.
  return /^[!-+\--~]{1,64}$/.test(name) ? name : null;
}

/** The type as ssh shows it to people: `ED25519`, `ECDSA`, `RSA`, ...; a type that it does not know as it is. */
export function displayType(blob: Buffer): string {
  const type = keyType(blob);
  return type === null ? "unknown" : (shownTypes.get(type) ?? type);
}

/** Both, for messages. */
export const shownKey = (key: Buffer): string => `${displayType(key)} key ${fingerprint(key)}`;

const shownTypes: ReadonlyMap<string, string> = new Map([
  ["ssh-ed25519", "ED25519"],
  ["ssh-rsa", "RSA"],
  ["ssh-dss", "DSA"],
  ["ecdsa-sha2-nistp256", "ECDSA"],
  ["ecdsa-sha2-nistp384", "ECDSA"],
  ["ecdsa-sha2-nistp521", "ECDSA"],
  ["sk-ssh-ed25519@openssh.com", "ED25519-SK"],
  ["sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA-SK"],
]);

/** The type of the keys that an algorithm signs with: RSA keys have three of them (RFC 8332 section 3). */
export const keyTypeOf = (algorithm: string): string =>
  algorithm === "rsa-sha2-256" || algorithm === "rsa-sha2-512" ? "ssh-rsa" : algorithm;
