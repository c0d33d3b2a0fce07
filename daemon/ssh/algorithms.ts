// What to offer in key exchange: the user's choice where there is one, ssh2's own order where there is none, but for what suits the processor.
import type { Algorithms } from "ssh2";
import { TundError } from "../../shared/errors.ts";
import type { HostConfig } from "./host-config.ts";
import { preferKnown } from "./known-hosts.ts";
import { supported } from "./ssh2/internals.ts";

const CHACHA = "chacha20-poly1305@openssh.com";
// What ssh2 would offer by itself begins with AES-GCM.
const chachaFirst = { remove: CHACHA, prepend: CHACHA };

/**
 * The algorithms to offer. Host key types that are known for the host go first, or a known key of another type would be
 * taken for a changed one (OpenSSH sshconnect2.c, order_hostkeyalgs).
 * @param knownTypes key types that known hosts have for this host
 * @param isAesFast whether the processor has instructions for AES
 * @throws TundError KEX_FAILED when the user chose only what ssh2 does not have (it throws on unknown names)
 */
export function offeredAlgorithms(
  config: HostConfig,
  knownTypes: ReadonlySet<string>,
  isAesFast: boolean,
): Algorithms {
  const { ciphers, macs, kexalgorithms, hostkeyalgorithms } = config.algorithms;
  const chosen = {
    cipher: choose("Ciphers", ciphers, supported.ciphers) ?? (isAesFast ? null : chachaFirst),
    hmac: choose("MACs", macs, supported.macs),
    kex: choose("KexAlgorithms", kexalgorithms, supported.kex),
    serverHostKey: preferKnown(
      choose("HostKeyAlgorithms", hostkeyalgorithms, supported.hostKeys) ?? supported.hostKeys,
      knownTypes,
    ),
    ...(config.compression ? { compress: ["zlib@openssh.com", "zlib", "none"] } : {}),
  };
  // Names come from ssh2's own lists; its types enumerate them and ours are strings.
  return Object.fromEntries(Object.entries(chosen).filter(([, list]) => list !== null)) as Algorithms;
}

/**
 * The certificates that are asked for before plain keys, where an authority is known for the host; of those the user would
 * have (HostKeyAlgorithms), what can be verified here.
 */
export const certificateAlgorithms = ({ algorithms }: HostConfig): string[] =>
  (algorithms.hostkeyalgorithms ?? []).filter((name) => {
    const plain = name.replace("-cert-v01@openssh.com", "");
    return plain !== name && plain !== "ssh-rsa" && supported.hostKeys.includes(plain);
  });

function choose(option: string, wanted: readonly string[] | null, known: readonly string[]): string[] | null {
  if (wanted === null) return null;
  const usable = wanted.filter((name) => known.includes(name));
  if (usable.length > 0) return usable;
  throw new TundError(
    "KEX_FAILED",
    `${option} names nothing that tund has: asked for ${wanted.join(",")}; there is ${known.join(",")}`,
  );
}
