// Whether a public key is whole (RFC 4253 section 6.6; sshkey.c, sshkey_from_blob): one that was cut short, or damaged, is none.
import { Reader } from "../wire-format.ts";
import { isCertificateType, isSignedBy, parseCertificate, publicKeyOf } from "./certificate.ts";
import { keyType } from "./host-key.ts";

const ED25519_BYTES = 32;
const MOST_MPINT_BYTES = 2049; // sshbuf.h, SSHBUF_MAX_BIGNUM, and the sign

type IsField = (bytes: Buffer) => boolean;

const isMpint: IsField = (bytes) => bytes.length <= MOST_MPINT_BYTES && ((bytes[0] ?? 0) & 0x80) === 0;
const isEd25519: IsField = (bytes) => bytes.length === ED25519_BYTES;
const isText: IsField = (bytes) => !bytes.includes(0);
const isCurve =
  (name: string): IsField =>
  (bytes) =>
    bytes.toString("latin1") === name;
const isPoint =
  (bytes: number): IsField =>
  (value) =>
    value.length === 1 + 2 * bytes && value[0] === 4;

// What follows the type, in the order in which it comes.
const fields: ReadonlyMap<string, readonly IsField[]> = new Map([
  ["ssh-ed25519", [isEd25519]],
  ["sk-ssh-ed25519@openssh.com", [isEd25519, isText]],
  ["ssh-rsa", [isMpint, isMpint]],
  ["ssh-dss", [isMpint, isMpint, isMpint, isMpint]],
  ["ecdsa-sha2-nistp256", [isCurve("nistp256"), isPoint(32)]],
  ["ecdsa-sha2-nistp384", [isCurve("nistp384"), isPoint(48)]],
  ["ecdsa-sha2-nistp521", [isCurve("nistp521"), isPoint(66)]],
  ["sk-ecdsa-sha2-nistp256@openssh.com", [isCurve("nistp256"), isPoint(32), isText]],
]);

/** Whether a key, or a certificate and the keys in it, can be read to its end as what it says it is. Never throws. */
export function isWholeKey(blob: Buffer): boolean {
  const certificate = parseCertificate(blob);
  if (certificate === null) return isWholePlainKey(blob);
  const { key, authority, signed, signature } = certificate;
  return isWholePlainKey(key) && isWholePlainKey(authority) && isSignedBy(authority, signed, signature);
}

function isWholePlainKey(blob: Buffer): boolean {
  const type = keyType(blob) ?? "";
  const expected = fields.get(type);
  if (expected === undefined) return false;
  try {
    const reader = new Reader(blob);
    reader.string();
    if (!expected.every((isField) => isField(reader.string())) || reader.left > 0) return false;
    if (type.startsWith("ecdsa-")) publicKeyOf(blob); // or its point is on no curve
    return true;
  } catch {
    return false;
  }
}

/** The key without the certificate, where it is in one. */
export const plainKeyOf = (blob: Buffer): Buffer => parseCertificate(blob)?.key ?? blob;

/**
 * Why a key that a server shows is none that may be judged, as ssh ends the connection then; null when it may.
 * @param leastBits what an RSA key has at least (RequiredRSASize)
 */
export function damageOf(shown: Buffer, leastBits: number): string | null {
  const certificate = parseCertificate(shown);
  if (certificate === null && isCertificateType(keyType(shown) ?? ""))
    return "its certificate makes no sense";
  const key = certificate?.key ?? shown;
  if (!isWholePlainKey(key)) return "its host key makes no sense";
  const bits = rsaBits(key);
  if (bits !== null && bits < leastBits)
    return `its RSA host key has ${bits} bits, and RequiredRSASize wants ${leastBits}`;
  if (certificate === null) return null;
  const { authority, signed, signature } = certificate;
  if (!isWholePlainKey(authority)) return "the authority's key in its certificate makes no sense";
  const isJudged = !isUnknownHere(authority, signature);
  return isJudged && !isSignedBy(authority, signed, signature)
    ? "its certificate is not signed by the authority that it names"
    : null;
}

// Security keys, and SHA-1: that such an authority signed it cannot be told here, so that the certificate does not count.
const isUnknownHere = (authority: Buffer, signature: Buffer): boolean =>
  keyType(authority)?.startsWith("sk-") === true || keyType(signature) === "ssh-rsa";

/** How many bits the modulus of an RSA key has; null for another key. */
export function rsaBits(key: Buffer): number | null {
  if (keyType(key) !== "ssh-rsa") return null;
  const reader = new Reader(key);
  reader.string();
  reader.string(); // the exponent
  const modulus = reader
    .string()
    .toString("hex")
    .replace(/^(00)+/, "");
  return modulus === "" ? 0 : BigInt(`0x${modulus}`).toString(2).length;
}
