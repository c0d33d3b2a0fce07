// Which host keys are known: sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT", read and judged as OpenSSH does (hostfile.c, sshconnect.c).
import { createHmac, randomBytes } from "node:crypto";
import { mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
import { keyType, keyTypeOf } from "./host-key.ts";

/** A line that names a key. */
export interface KnownHost {
  file: string;
  /** counted from 1 */
  line: number;
  marker: "@cert-authority" | "@revoked" | null;
  /** comma-separated patterns, or one hashed name */
  hosts: string;
  /** the key as it is on the wire (RFC 4253 section 6.6) */
  key: Buffer;
}

/** What the files say of a key; `file` and `line` are where, for `changed` one that has another key. */
export type Verdict =
  | { kind: "unknown" }
  | { kind: "known" | "changed" | "revoked"; file: string; line: number };

/** The name that a host is looked up and recorded by: lower case, `[host]:port` for ports other than 22. */
export const lookupName = (host: string, port: number): string =>
  port === DEFAULT_PORT ? lowerCase(host) : `[${lowerCase(host)}]:${port}`;

const DEFAULT_PORT = 22;

/** ASCII alone, as in C: a name with other letters must stay of the same length and bytes. */
const lowerCase = (text: string): string => text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());

/**
 * Reads known_hosts files in their order. Lines that make no sense are skipped, as ssh skips them; a file that is not
 * there holds nothing; one that cannot be read is told of in `problems`.
 */
export async function readKnownHosts(
  files: readonly string[],
): Promise<{ hosts: KnownHost[]; problems: string[] }> {
  const problems: string[] = [];
  const read = files.map(async (file) => {
    try {
      return parseKnownHosts(file, await readFile(file, "utf8"));
    } catch (error) {
      if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) problems.push(messageOf(error));
      return [];
    }
  });
  return { hosts: (await Promise.all(read)).flat(), problems };
}

/** Reads the text of a known_hosts file; `file` is only remembered. Never throws. */
export function parseKnownHosts(file: string, text: string): KnownHost[] {
  return text.split("\n").flatMap((line, index) => {
    const parsed = parseLine(line);
    return parsed === null ? [] : [{ file, line: index + 1, ...parsed }];
  });
}

function parseLine(line: string): Omit<KnownHost, "file" | "line"> | null {
  const words = line.split(/[ \t\r]+/).filter((word) => word !== "");
  const [first = "#"] = words;
  if (first.startsWith("#")) return null;
  const marker = first === "@cert-authority" || first === "@revoked" ? first : null;
  if (marker !== null) words.shift();
  const [hosts = "", type = "", base64 = ""] = words;
  // Another marker, or a second one: what it would mean nobody knows, so the line means nothing.
  if (hosts.startsWith("@")) return null;
  const key = decodeBase64(base64);
  if (key === null || keyType(key) !== keyTypeOf(type)) return null;
  return { marker, hosts, key };
}

// Buffer.from takes whatever looks a little like base64.
function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.length > 0 && bytes.toString("base64") === text ? bytes : null;
}

/** A host as known hosts know it: `host` is what is connected to, after ssh_config had its say. */
export interface HostName {
  host: string;
  port: number;
  hostKeyAlias: string | null;
}

/** An alias stands for host and port both: no port is added to it (sshconnect.c, get_hostfile_hostname_ipaddr). */
const nameOf = ({ host, port, hostKeyAlias }: HostName): string =>
  hostKeyAlias === null ? lookupName(host, port) : lowerCase(hostKeyAlias);

/** The name that a host is recorded by. */
export const recordName = (name: HostName): string => nameOf(name);

/** Whether a line names this host. */
export const namesIt = ({ hosts }: KnownHost, name: HostName): boolean => namesHost(hosts, nameOf(name));

/**
 * Judges a server's plain key as OpenSSH does: in any file it is known; a host with other keys, of whatever type, has
 * changed; a key that is revoked for the host stays so wherever else it stands.
 */
export function verdict(known: readonly KnownHost[], { key, ...name }: HostName & { key: Buffer }): Verdict {
  const found = verdictFor(known, nameOf(name), key);
  if (found.kind !== "unknown" || name.hostKeyAlias !== null || name.port === DEFAULT_PORT) return found;
  // Nothing is known of the port. The host's own entry may vouch for the key, and says nothing against it by having
  // others. A revoked key is refused here too, where OpenSSH would call it new (and record it, under accept-new).
  const bare = verdictFor(known, nameOf({ ...name, port: DEFAULT_PORT }), key);
  return bare.kind === "changed" ? { kind: "unknown" } : bare;
}

function verdictFor(known: readonly KnownHost[], name: string, key: Buffer): Verdict {
  const ofHost = known.filter(({ marker, hosts }) => marker !== "@cert-authority" && namesHost(hosts, name));
  const plain = ofHost.filter(({ marker }) => marker === null);
  const same = (one: KnownHost) => one.key.equals(key);
  const sameType = (one: KnownHost) => keyType(one.key) === keyType(key);
  const revoked = ofHost.find((one) => one.marker === "@revoked" && same(one));
  if (revoked !== undefined) return at("revoked", revoked);
  const match = plain.find(same);
  if (match !== undefined) return at("known", match);
  const other = plain.find(sameType) ?? plain[0];
  return other === undefined ? { kind: "unknown" } : at("changed", other);
}

/** The keys of authorities that may certify this host; one that is revoked for it may not. */
export function authorities(known: readonly KnownHost[], name: HostName): Buffer[] {
  const ofHost = known.filter(({ hosts }) => namesHost(hosts, nameOf(name)));
  const isRevoked = (key: Buffer) => ofHost.some((one) => one.marker === "@revoked" && one.key.equals(key));
  return ofHost
    .filter(({ marker, key }) => marker === "@cert-authority" && !isRevoked(key))
    .map(({ key }) => key);
}

const at = (kind: "known" | "changed" | "revoked", { file, line }: KnownHost): Verdict => ({
  kind,
  file,
  line,
});

/** The key types that are known for a host (sshconnect2.c, order_hostkeyalgs: its bare name is not asked for here). */
export function knownKeyTypes(
  known: readonly KnownHost[],
  { hostname, port, hostKeyAlias }: { hostname: string; port: number; hostKeyAlias: string | null },
): Set<string> {
  const name = nameOf({ host: hostname, port, hostKeyAlias });
  const plain = known.filter(({ marker, hosts }) => marker === null && namesHost(hosts, name));
  return new Set(plain.flatMap(({ key }) => keyType(key) ?? []));
}

/**
 * Puts the host key algorithms first whose keys are known; both groups keep their order. OpenSSH leaves the list alone
 * when its first is known already; a server that has lost that key, and has another known one, would then seem changed.
 */
export function preferKnown(algorithms: readonly string[], types: ReadonlySet<string>): string[] {
  const isKnown = (algorithm: string) => types.has(keyTypeOf(algorithm));
  return [...algorithms.filter(isKnown), ...algorithms.filter((algorithm) => !isKnown(algorithm))];
}

/** Whether a line's hosts field names this host; `name` is in lower case. */
function namesHost(hosts: string, name: string): boolean {
  if (hosts.startsWith("|")) return matchesHash(hosts, name);
  const patterns = lowerCase(hosts).split(",");
  const matches = (pattern: string) => matchesPattern(name, pattern);
  const negated = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => pattern.slice(1));
  return !negated.some(matches) && patterns.some((pattern) => !pattern.startsWith("!") && matches(pattern));
}

const SALT_BYTES = 20; // as long as the digest; OpenSSH takes no other

function matchesHash(hosts: string, name: string): boolean {
  const [, version, salt = ""] = hosts.split("|");
  const bytes = decodeBase64(salt);
  return version === "1" && bytes?.length === SALT_BYTES && hashedName(name, bytes) === hosts;
}

const hashedName = (name: string, salt: Buffer): string =>
  `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;

/**
 * Whether a text matches a pattern with `*` and `?` (match.c). It goes back to the last star alone, so a pattern full of
 * stars costs no more than its length times the name's.
 */
export function matchesPattern(text: string, pattern: string): boolean {
  let [inText, inPattern, star, starredTo] = [0, 0, -1, 0];
  while (inText < text.length) {
    const wanted = pattern[inPattern];
    if (wanted === "*") {
      star = inPattern++;
      starredTo = inText;
    } else if (wanted === "?" || wanted === text[inText]) {
      inPattern++;
      inText++;
    } else if (star !== -1) {
      inPattern = star + 1;
      inText = ++starredTo;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(inPattern));
}

export interface NewKnownHost {
  /** as `lookupName` gives it, or the alias */
  name: string;
  key: Buffer;
  /** whether to hide the name (HashKnownHosts) */
  hash: boolean;
}

// A name with `*` or `,` in it would have the key trusted for hosts that nobody was asked about (sshconnect.c).
const recordable = /^(?:[^\s\p{Cc}@?*#[\]|'"\\,!]+|\[[^\s\p{Cc}@?*#[\]|'"\\,!]+\]:[0-9]+)$/u;

/** The line for a key, without an end of line. @throws TundError INVALID_REQUEST for a name that would mean other hosts as well */
export function knownHostLine({ name, key, hash }: NewKnownHost): string {
  const type = keyType(key);
  const host = lowerCase(name);
  if (type === null || !recordable.test(host))
    throw new TundError("INVALID_REQUEST", `'${name}' cannot be recorded as the name of a host`);
  return `${hash ? hashedName(host, randomBytes(SALT_BYTES)) : host} ${type} ${key.toString("base64")}`;
}

/**
 * Adds a line to a known_hosts file, in one write; the file (0600) and its directory (0700) are made if need be.
 * @throws TundError INVALID_REQUEST for a name that would mean other hosts as well, and what the file system throws
 */
export async function appendKnownHost(file: string, wanted: NewKnownHost): Promise<void> {
  const line = `${knownHostLine(wanted)}\n`;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, "a+", 0o600);
  try {
    const { size } = await handle.stat();
    const last = Buffer.alloc(1, "\n");
    if (size > 0) await handle.read(last, 0, 1, size - 1);
    await handle.appendFile(last.toString() === "\n" ? line : `\n${line}`);
  } finally {
    await handle.close();
  }
}
