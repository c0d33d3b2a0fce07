// One try at publickey authentication (RFC 4252 section 7): a key or certificate, and who signs for it.
import { displayType, fingerprint, keyType } from "./host-key.ts";
import { parseCertificate } from "./certificate.ts";

/** Signs data. @returns the signature with its algorithm before it @throws Error, TundError PROMPT_UNANSWERED */
export type Sign = (data: Buffer, algorithm: string) => Promise<Buffer>;

export interface Offer {
  /** for people: which key, and from where */
  label: string;
  /** the key, or the certificate */
  blob: Buffer;
  sign: Sign;
}

/** A key whose public half only its passphrase tells: that is asked for when its turn has come, as ssh does. */
export interface LockedOffer {
  label: string;
  /** @throws Error, TundError PROMPT_UNANSWERED */
  open: () => Promise<Offer>;
}

/** The key itself, for a certificate too: what SHA256 fingerprints are made of. */
export const bareKey = (blob: Buffer): Buffer => parseCertificate(blob)?.key ?? blob;

/** `ED25519 SHA256:...`, with -CERT behind a certificate's type, as ssh shows it. */
export function shownKey(blob: Buffer): string {
  const certificate = parseCertificate(blob);
  const type = displayType(certificate?.key ?? blob);
  return `${type}${certificate === null ? "" : "-CERT"} ${fingerprint(certificate?.key ?? blob)}`;
}

/** Whether what shownKey() told of is a security key: it signs when somebody touches it. */
export const isSecurityKey = (shown: string): boolean => /^\S+-SK(-CERT)? /.test(shown);

const RSA = /^(ssh-rsa)(-cert-v01@openssh\.com)?$/;

/**
 * The algorithm to offer a key with: of what the user accepts (PubkeyAcceptedAlgorithms, in its order), one that fits the
 * key; for RSA keys, one that the server takes too (RFC 8308 section 3.1, RFC 8332). Null when there is none.
 * @param server what the server said it takes; null when it said nothing
 */
export function algorithmFor(
  blob: Buffer,
  accepted: readonly string[] | null,
  server: readonly string[] | null,
): string | null {
  const type = keyType(blob) ?? "";
  const [, rsa, certificate = ""] = RSA.exec(type) ?? [];
  if (rsa === undefined) return accepted === null || accepted.includes(type) ? type : null;
  const names = ["rsa-sha2-512", "rsa-sha2-256"].map((name) => name + certificate);
  // A server that says nothing is an old one, and takes the old signature if any.
  const wanted = accepted?.filter((name) => [...names, type].includes(name)) ?? names;
  const takes = server ?? ["ssh-rsa"];
  const isTaken = (name: string) => takes.includes(name.replace(/-cert-v01@openssh\.com$/, ""));
  return wanted.find(isTaken) ?? null;
}

/** The algorithm of the signature: the certificate's is its key's. */
export const signatureAlgorithmOf = (algorithm: string): string => {
  const plain = algorithm.replace(/-cert-v01@openssh\.com$/, "");
  return plain.startsWith("sk-") && !plain.endsWith("@openssh.com") ? `${plain}@openssh.com` : plain;
};
