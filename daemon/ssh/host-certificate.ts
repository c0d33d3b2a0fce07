// Whether a host's certificate is good (sshconnect.c, check_host_cert; PROTOCOL.certkeys).
import { type Certificate, isSignedBy } from "./certificate.ts";
import { displayType, fingerprint, keyType } from "./host-key.ts";
import { type HostName, type KnownHost, lowerCase } from "./known-hosts.ts";
import { authorities } from "./known-hosts-verdict.ts";
import { listed } from "./said.ts";
import { Reader } from "../wire-format.ts";

export interface HostCertificateOptions {
  known: readonly KnownHost[];
  name: HostName;
  /** CASignatureAlgorithms; null: any that is known */
  algorithms: readonly string[] | null;
  /** in milliseconds since the epoch */
  now: number;
}

/**
 * Judges it. Gives null when the host is who the authority says, else why not: its plain key is judged then as if there
 * were no certificate.
 */
export function faultOf(certificate: Certificate, options: HostCertificateOptions): string | null {
  const { kind, keyId, principals, authority, criticalOptions, signed, signature } = certificate;
  const { known, name, algorithms, now } = options;
  const shown = `the certificate '${keyId}' of authority ${displayType(authority)} ${fingerprint(authority)}`;
  if (kind !== "host") return `${shown} is a user's`;
  if (!authorities(known, name).some((key) => key.equals(authority)))
    return `${shown} is by nobody whom known hosts have for this host (@cert-authority)`;
  const wanted = name.hostKeyAlias ?? lowerCase(name.host);
  if (principals.length === 0)
    return `${shown} has no principals: it would be good for every host (ssh 9 takes it, OpenSSH 10 does not)`;
  // Letter by letter: patterns are principals of OpenSSH 10.3 and later, which others take for a name.
  if (!principals.includes(wanted)) return `${shown} is for ${listed(principals)}, not for ${wanted}`;
  const seconds = BigInt(Math.floor(now / 1000));
  if (seconds < certificate.validAfter) return `${shown} is not valid yet`;
  if (seconds >= certificate.validBefore) return `${shown} has expired`;
  if (criticalOptions.length > 0)
    return `${shown} has critical options that are not known: ${criticalOptions.join(", ")}`;
  const algorithm =
    keyType(authority) === "ssh-rsa" ? new Reader(signature).text() : (keyType(authority) ?? "");
  if (algorithms !== null && !algorithms.includes(algorithm))
    return `${shown} is signed with ${algorithm}, which CASignatureAlgorithms does not have`;
  return isSignedBy(authority, signed, signature) ? null : `${shown} is not signed by it`;
}
