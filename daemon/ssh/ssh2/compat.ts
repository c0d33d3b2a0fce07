// Servers that take other signatures than they say, by their software version, as OpenSSH's compat.c has them. ssh2 knows the
// rest that matters to what tund can exchange keys with: ports of -R 0 (OpenSSH 5), group exchange (Cisco).
import { keyType } from "../host-key.ts";

const RSA = "ssh-rsa";
const RSA_CERTIFICATE = "ssh-rsa-cert-v01@openssh.com";

// It takes SHA-2, and its server-sig-algs leaves it out (SSH_BUG_SIGTYPE74).
const HIDES_SHA2 = /^OpenSSH_7\.4/;
// They know RSA certificates by their old name alone (SSH_BUG_SIGTYPE).
const OLD_CERTIFICATES = /^(?:OpenSSH_(?:[2-5]|6\.[56]|7\.[0-7])|Sun_SSH_1\.0)/;

/**
 * The signature algorithms that a server takes for this key (RFC 8308 section 3.1); null when that is not known.
 * @param version its software version (RFC 4253 section 4.2)
 * @param said its server-sig-algs
 */
export function signatureAlgorithms(
  version: string | null,
  key: Buffer,
  said: readonly string[] | null,
): readonly string[] | null {
  const type = keyType(key);
  if (type === RSA && HIDES_SHA2.test(version ?? ""))
    return ["rsa-sha2-512", "rsa-sha2-256", ...(said ?? [])];
  if (type === RSA_CERTIFICATE && OLD_CERTIFICATES.test(version ?? "")) return [RSA];
  return said;
}
