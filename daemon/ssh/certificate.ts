// OpenSSH certificates (PROTOCOL.certkeys), and signatures as SSH has them (RFC 4253 section 6.6, RFC 5656, RFC 8332, RFC 8709).
import { createPublicKey, type JsonWebKey, type KeyObject, verify } from "node:crypto";
import { keyType } from "./host-key.ts";
import { Reader, sshString } from "../wire-format.ts";

const SUFFIX = "-cert-v01@openssh.com";

export interface Certificate {
  /** `ssh-ed25519-cert-v01@openssh.com`, ... */
  type: string;
  /** the key that is certified, without the certificate */
  key: Buffer;
  kind: "user" | "host";
  keyId: string;
  principals: string[];
  /** in seconds since the epoch */
  validAfter: bigint;
  validBefore: bigint;
  criticalOptions: string[];
  /** the authority's key */
  authority: Buffer;
  /** the authority's signature, and what it signs */
  signature: Buffer;
  signed: Buffer;
}

/** Whether a key type is a certificate's. */
export const isCertificateType = (type: string): boolean => type.endsWith(SUFFIX);

/** `ssh-ed25519` for `ssh-ed25519-cert-v01@openssh.com`, `sk-ssh-ed25519@openssh.com` for its own. */
const plainType = (type: string): string => {
  const plain = type.slice(0, -SUFFIX.length);
  if (!isCertificateType(type)) return type;
  return plain.startsWith("sk-") ? `${plain}@openssh.com` : plain;
};

// How many fields a key has, between its type (or the nonce) and what all certificates have.
const fieldCounts: ReadonlyMap<string, number> = new Map([
  ["ssh-ed25519", 1],
  ["ssh-rsa", 2],
  ["ecdsa-sha2-nistp256", 2],
  ["ecdsa-sha2-nistp384", 2],
  ["ecdsa-sha2-nistp521", 2],
  ["sk-ssh-ed25519@openssh.com", 2],
  ["sk-ecdsa-sha2-nistp256@openssh.com", 3],
]);

/** Reads a certificate's blob. Gives null for what is none. */
export function parseCertificate(blob: Buffer): Certificate | null {
  try {
    return read(blob);
  } catch {
    return null;
  }
}

function read(blob: Buffer): Certificate | null {
  const reader = new Reader(blob);
  const type = reader.text();
  const count = fieldCounts.get(plainType(type));
  if (!isCertificateType(type) || count === undefined) return null;
  reader.string(); // nonce
  const fields = Array.from({ length: count }, () => reader.string());
  const key = Buffer.concat(
    [type === plainType(type) ? "" : plainType(type), ...fields].map((each) => sshString(each)),
  );
  reader.uint64(); // serial
  const kind = { 1: "user" as const, 2: "host" as const }[reader.uint32()];
  const keyId = reader.text();
  const principals = strings(reader.string());
  const [validAfter, validBefore] = [reader.uint64(), reader.uint64()];
  const criticalOptions = strings(reader.string()).filter((_, index) => index % 2 === 0);
  reader.string(); // extensions
  reader.string(); // reserved
  const authority = Buffer.from(reader.string());
  const signed = blob.subarray(0, reader.position);
  const signature = reader.string();
  if (kind === undefined || reader.left > 0) return null;
  return {
    type,
    key,
    kind,
    keyId,
    principals,
    validAfter,
    validBefore,
    criticalOptions,
    authority,
    signature,
    signed,
  };
}

function strings(packed: Buffer): string[] {
  const reader = new Reader(packed);
  const all: string[] = [];
  while (reader.left > 0) all.push(reader.text());
  return all;
}

const hashes: ReadonlyMap<string, string> = new Map([
  ["rsa-sha2-256", "sha256"],
  ["rsa-sha2-512", "sha512"],
  ["ecdsa-sha2-nistp256", "sha256"],
  ["ecdsa-sha2-nistp384", "sha384"],
  ["ecdsa-sha2-nistp521", "sha512"],
]);

/** Whether a key made this signature over the data. SHA-1 is not believed. Never throws. */
export function isSignedBy(key: Buffer, data: Buffer, signature: Buffer): boolean {
  try {
    const reader = new Reader(signature);
    const algorithm = reader.text();
    const value = reader.string();
    const type = keyType(key) ?? "";
    const isItsOwn = type === "ssh-rsa" ? algorithm.startsWith("rsa-sha2-") : algorithm === type;
    if (!isItsOwn) return false;
    const isEcdsa = type.startsWith("ecdsa-");
    const publicKey = publicKeyOf(key);
    if (type !== "ssh-ed25519" && !hashes.has(algorithm)) return false;
    return verify(
      hashes.get(algorithm) ?? null,
      data,
      isEcdsa ? { key: publicKey, dsaEncoding: "ieee-p1363" } : publicKey,
      isEcdsa ? fixedSize(value, type) : value,
    );
  } catch {
    return false;
  }
}

const curves: ReadonlyMap<string, { crv: string; bytes: number }> = new Map([
  ["ecdsa-sha2-nistp256", { crv: "P-256", bytes: 32 }],
  ["ecdsa-sha2-nistp384", { crv: "P-384", bytes: 48 }],
  ["ecdsa-sha2-nistp521", { crv: "P-521", bytes: 66 }],
]);

const base64 = (bytes: Buffer): string => bytes.toString("base64url");
const jwk = (key: JsonWebKey): KeyObject => createPublicKey({ key, format: "jwk" });

/** A key for whoever verifies. @throws Error for one that makes no sense, or of a type that is not known */
export function publicKeyOf(blob: Buffer): KeyObject {
  const reader = new Reader(blob);
  const type = reader.text();
  if (type === "ssh-ed25519") return jwk({ kty: "OKP", crv: "Ed25519", x: base64(reader.string()) });
  if (type === "ssh-rsa") {
    const [e, n] = [reader.string(), reader.string()];
    return jwk({ kty: "RSA", e: base64(unsigned(e)), n: base64(unsigned(n)) });
  }
  const curve = curves.get(type);
  if (curve === undefined) throw new Error(`no key of type ${type} is known`);
  reader.string(); // the curve's name
  const point = reader.string();
  const [x, y] = [point.subarray(1, 1 + curve.bytes), point.subarray(1 + curve.bytes)];
  return jwk({ kty: "EC", crv: curve.crv, x: base64(x), y: base64(y) });
}

const unsigned = (bytes: Buffer): Buffer => (bytes[0] === 0 ? bytes.subarray(1) : bytes);

// r and s are mpints on the wire (RFC 5656 section 3.1.2), and of one size each for whoever verifies them.
function fixedSize(value: Buffer, type: string): Buffer {
  const size = curves.get(type)?.bytes ?? 0;
  const reader = new Reader(value);
  const parts = [reader.string(), reader.string()].map((part) => {
    const bytes = unsigned(part);
    return Buffer.concat([Buffer.alloc(size - bytes.length), bytes]);
  });
  return Buffer.concat(parts);
}
