// What to offer in key exchange: the user's choice where there is one, ssh2's own order where there is none, but for what suits the processor.
import type { Algorithms } from "ssh2";
import { TundError } from "../../shared/errors.ts";
import type { HostConfig } from "./host-config.ts";
import { hybrids } from "./kex/hybrids.ts";
import { type KnownAlgorithms, preferKnown } from "./known-hosts-verdict.ts";
import { supported } from "./ssh2/internals.ts";

const CHACHA = "chacha20-poly1305@openssh.com";
// What ssh2 would offer by itself begins with AES-GCM.
const chachaFirst = { remove: CHACHA, prepend: CHACHA };

/** What to offer. */
export interface Offered {
  /** as ssh2 takes it: without algorithms of certificates, which it does not know */
  algorithms: Algorithms;
  /** methods of key exchange, in order: hybrid ones, which ssh2 does not know either, among them */
  kex: readonly string[];
  /** those of host keys and certificates, in order */
  hostKeys: readonly string[];
}

export interface Means {
  /** whether the processor has instructions for AES */
  isAesFast: boolean;
  /** the hybrid key exchanges that can be done, in order of preference */
  hybrids: readonly string[];
}

/**
 * The algorithms to offer. Host key types that are known for the host go first, or a known key of another type would be
 * taken for a changed one (OpenSSH sshconnect2.c, order_hostkeyalgs). Certificates are asked for whether or not an authority
 * is known, as ssh does: one may be revoked, and its key with it.
 * @param known what known hosts have for this host
 * @throws TundError KEX_FAILED when the user chose only what ssh2 does not have (it throws on unknown names)
 */
export function offeredAlgorithms(config: HostConfig, known: KnownAlgorithms, means: Means): Offered {
  const { ciphers, macs, kexalgorithms, hostkeyalgorithms } = config.algorithms;
  const usable = choose("HostKeyAlgorithms", hostkeyalgorithms, [...certificates, ...supported.hostKeys]);
  const hostKeys = preferKnown(usable ?? supported.hostKeys, known);
  const plain = hostKeys.filter((name) => supported.hostKeys.includes(name));
  const hybrid = means.hybrids;
  const kex = choose("KexAlgorithms", kexalgorithms, [...hybrid, ...supported.kex]);
  const plainKex = kex?.filter((name) => supported.kex.includes(name)) ?? [];
  const chosen = {
    cipher: choose("Ciphers", ciphers, supported.ciphers) ?? (means.isAesFast ? null : chachaFirst),
    hmac: choose("MACs", macs, supported.macs),
    kex: plainKex.length === 0 ? null : plainKex,
    serverHostKey: plain.length === 0 ? supported.hostKeys : plain, // it wants some, whatever is offered in the end
    ...(config.compression ? { compress: ["zlib@openssh.com", "zlib", "none"] } : {}),
  };
  // Names come from ssh2's own lists; its types enumerate them and ours are strings.
  const algorithms = Object.fromEntries(Object.entries(chosen).filter(([, list]) => list !== null));
  return { algorithms, kex: kex ?? [...hybrid, ...supported.kexByDefault], hostKeys };
}

/** What to offer to see a host key of one of these types: nothing of the connection has to stay secret, so what is quick goes first. */
export const keyScan = (
  hostKeys: string[],
  hybrid: readonly string[],
): Pick<Offered, "algorithms" | "kex"> => ({
  algorithms: { serverHostKey: hostKeys } as Algorithms,
  kex: [...supported.kexByDefault, ...hybrid],
});

/**
 * What a list of KexAlgorithms comes to where ssh is too old to know all of our hybrid exchanges. A list from which none of its
 * defaults is missing was added to (+) or put in another order (^): what ssh does not know comes where its defaults begin,
 * behind what was put in front of them. Any other list is taken at its word: with - it cannot be told from one that names all.
 */
export function withNewer(chosen: readonly string[], defaults: readonly string[]): string[] {
  const newer = hybrids.map(({ name }) => name).filter((name) => !defaults.includes(name));
  if (!defaults.every((name) => chosen.includes(name))) return [...chosen];
  const behind = (at: number) => {
    const front = new Set(chosen.slice(0, at));
    const rest = defaults.filter((name) => !front.has(name));
    return rest.every((name, i) => chosen[at + i] === name);
  };
  const at = chosen.findIndex((_, i) => behind(i));
  return [...chosen.slice(0, at), ...newer.filter((name) => !chosen.includes(name)), ...chosen.slice(at)];
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
