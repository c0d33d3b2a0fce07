// What to offer in key exchange: the user's choice where there is one, ssh2's own order where there is none, but for what suits the processor.
import type { Algorithms } from "ssh2";
import { TundError } from "../../shared/errors.ts";
import type { HostConfig } from "./host-config.ts";
import { type KnownAlgorithms, preferKnown } from "./known-hosts-verdict.ts";
import { supported } from "./ssh2/internals.ts";

const CHACHA = "chacha20-poly1305@openssh.com";
// What ssh2 would offer by itself begins with AES-GCM.
const chachaFirst = { remove: CHACHA, prepend: CHACHA };

/** What to offer. */
export interface Offered {
  /** as ssh2 takes it: without algorithms of certificates, which it does not know */
  algorithms: Algorithms;
  /** those of host keys and certificates, in order */
  hostKeys: readonly string[];
}

/**
 * The algorithms to offer. Host key types that are known for the host go first, or a known key of another type would be
 * taken for a changed one (OpenSSH sshconnect2.c, order_hostkeyalgs). Certificates are asked for whether or not an authority
 * is known, as ssh does: one may be revoked, and its key with it.
 * @param known what known hosts have for this host
 * @param isAesFast whether the processor has instructions for AES
 * @throws TundError KEX_FAILED when the user chose only what ssh2 does not have (it throws on unknown names)
 */
export function offeredAlgorithms(config: HostConfig, known: KnownAlgorithms, isAesFast: boolean): Offered {
  const { ciphers, macs, kexalgorithms, hostkeyalgorithms } = config.algorithms;
  const usable = choose("HostKeyAlgorithms", hostkeyalgorithms, [...certificates, ...supported.hostKeys]);
  const hostKeys = preferKnown(usable ?? supported.hostKeys, known);
  const plain = hostKeys.filter((name) => supported.hostKeys.includes(name));
  const chosen = {
    cipher: choose("Ciphers", ciphers, supported.ciphers) ?? (isAesFast ? null : chachaFirst),
    hmac: choose("MACs", macs, supported.macs),
    kex: choose("KexAlgorithms", kexalgorithms, supported.kex),
    serverHostKey: plain.length === 0 ? supported.hostKeys : plain, // it wants some, whatever is offered in the end
    ...(config.compression ? { compress: ["zlib@openssh.com", "zlib", "none"] } : {}),
  };
  // Names come from ssh2's own lists; its types enumerate them and ours are strings.
  const algorithms = Object.fromEntries(Object.entries(chosen).filter(([, list]) => list !== null));
  return { algorithms, hostKeys };
}

// Of those what can be verified here; with SHA-1 (ssh-rsa) nothing is.
const certificates = supported.hostKeys
  .filter((name) => name !== "ssh-rsa")
  .map((name) => `${name}-cert-v01@openssh.com`);

function choose(option: string, wanted: readonly string[] | null, known: readonly string[]): string[] | null {
  if (wanted === null) return null;
  const usable = wanted.filter((name) => known.includes(name));
  if (usable.length > 0) return usable;
  throw new TundError(
    "KEX_FAILED",
    `${option} names nothing that tund has: asked for ${wanted.join(",")}; there is ${known.join(",")}`,
  );
}
