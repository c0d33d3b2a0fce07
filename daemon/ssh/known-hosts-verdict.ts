// What known hosts say of a host's key, judged as OpenSSH does (hostfile.c, sshconnect.c).
import { keyType, keyTypeOf } from "./host-key.ts";
import { DEFAULT_PORT, type HostName, type KnownHost, namesHost, recordName } from "./known-hosts.ts";
import { plainKeyOf } from "./public-key.ts";

/** Where a key stands, for `changed` one that has another key. */
export interface Place extends Pick<KnownHost, "file" | "line" | "since"> {
  kind: "known" | "changed" | "revoked";
}
export type Verdict = { kind: "unknown" } | Place;

/** A place, for messages: `FILE:LINE`, or since when it is kept in memory. */
export const shownPlace = ({ file, line, since }: Pick<KnownHost, "file" | "line" | "since">): string =>
  since === undefined ? `${file}:${line}` : `memory at ${new Date(since).toISOString()}`;

/** Whether a line names this host. */
export const namesIt = (line: KnownHost, name: HostName): boolean => hasName(line, recordName(name));

/** The host's name without its port, where lines that have that are asked as well; null where there is no other name. */
const bareName = (name: HostName): string | null =>
  name.hostKeyAlias !== null || name.port === DEFAULT_PORT
    ? null
    : recordName({ ...name, port: DEFAULT_PORT });

/** The names that lines are looked for by when a key of this host is to be judged. */
export const lookupNames = (name: HostName): string[] => {
  const bare = bareName(name);
  return bare === null ? [recordName(name)] : [recordName(name), bare];
};

/** A hash takes its time: what is known of a line already is not computed again. */
const hasName = (line: KnownHost, name: string): boolean =>
  line.names?.get(name) ?? namesHost(line.hosts, name);

const isOfBareName = (line: KnownHost, bare: string | null): boolean =>
  bare !== null && line.isPrinted !== true && hasName(line, bare);

/**
 * Judges a server's plain key as OpenSSH does: in any file it is known; a host with other keys, of whatever type, has
 * changed; a key that is revoked for the host stays so wherever else it stands.
 */
export function verdict(known: readonly KnownHost[], { key, ...name }: HostName & { key: Buffer }): Verdict {
  const revoked = revocation(known, { ...name, keys: [key] });
  if (revoked !== null) return revoked;
  const found = verdictOf(known, recordName(name), key);
  if (found.kind !== "unknown") return found;
  // Nothing is known of the port. The host's own entry may vouch for the key, and says nothing against it by having others.
  const bare = bareName(name);
  const match = known.find((one) => one.marker === null && isOfBareName(one, bare) && one.key.equals(key));
  return match === undefined ? { kind: "unknown" } : at("known", match);
}

/** Judges it by one name alone, as known hosts have it. */
export function verdictOf(known: readonly KnownHost[], name: string, key: Buffer): Verdict {
  const ofName = known.filter((one) => hasName(one, name));
  const revoked = ofName.find((one) => one.marker === "@revoked" && plainKeyOf(one.key).equals(key));
  if (revoked !== undefined) return at("revoked", revoked);
  const plain = ofName.filter(({ marker }) => marker === null);
  const match = plain.find((one) => one.key.equals(key));
  if (match !== undefined) return at("known", match);
  const other = plain.find((one) => keyType(one.key) === keyType(key)) ?? plain[0];
  return other === undefined ? { kind: "unknown" } : at("changed", other);
}

/**
 * Where one of these keys is revoked for this host: its own, or its authority's. One that is revoked for the host without
 * its port is refused here too, where OpenSSH would call it new (and record it, under accept-new).
 */
export function revocation(
  known: readonly KnownHost[],
  { keys, ...name }: HostName & { keys: readonly Buffer[] },
): Place | null {
  const bare = bareName(name);
  const found = known.find(
    (one) =>
      one.marker === "@revoked" &&
      (namesIt(one, name) || isOfBareName(one, bare)) &&
      keys.some((key) => key.equals(plainKeyOf(one.key))),
  );
  return found === undefined ? null : at("revoked", found);
}

/** The keys of authorities that may certify this host, those that are revoked among them. */
export function authorities(known: readonly KnownHost[], name: HostName): Buffer[] {
  const bare = bareName(name);
  return known
    .filter((one) => one.marker === "@cert-authority" && (namesIt(one, name) || isOfBareName(one, bare)))
    .map(({ key }) => key);
}

const at = (kind: Place["kind"], { file, line, since }: KnownHost): Place => ({
  kind,
  file,
  line,
  ...(since !== undefined && { since }),
});

/** Which host key algorithms known hosts have something for. */
export interface KnownAlgorithms {
  /** the types of the plain keys (sshconnect2.c, order_hostkeyalgs: the bare name is not asked for here) */
  types: ReadonlySet<string>;
  /** whether there is an authority for the host */
  isCertified: boolean;
}

/** What to prefer in key exchange. */
export function knownAlgorithms(known: readonly KnownHost[], name: HostName): KnownAlgorithms {
  const plain = known.filter((one) => one.marker === null && namesIt(one, name));
  return {
    types: new Set(plain.flatMap(({ key }) => keyType(key) ?? [])),
    isCertified: authorities(known, name).length > 0,
  };
}

/**
 * Puts the host key algorithms first whose keys are known, and those of certificates where there is an authority; both
 * groups keep their order. OpenSSH leaves the list alone when its first is known already; a server that has lost that key,
 * and has another known one, would then seem changed.
 */
export function preferKnown(
  algorithms: readonly string[],
  { types, isCertified }: KnownAlgorithms,
): string[] {
  const isKnown = (algorithm: string) => {
    const plain = plainAlgorithm(algorithm);
    return types.has(keyTypeOf(plain)) || (isCertified && plain !== algorithm);
  };
  return [...algorithms.filter(isKnown), ...algorithms.filter((algorithm) => !isKnown(algorithm))];
}

/** The algorithm that a certificate's key signs with: `rsa-sha2-512` for `rsa-sha2-512-cert-v01@openssh.com`. */
export const plainAlgorithm = (algorithm: string): string => algorithm.replace("-cert-v01@openssh.com", "");
