// Which host keys are known: sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT", read and judged as OpenSSH does (hostfile.c, sshconnect.c).
import { createHmac } from "node:crypto";
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
  /** the names that were looked for where the line was found, and whether it names them */
  names?: ReadonlyMap<string, boolean>;
  /** where it is in its file, in bytes, with the end of the line */
  span?: { from: number; to: number };
  /** it is no line, but kept in memory since then, in milliseconds since the epoch */
  since?: number;
  /** it was printed by KnownHostsCommand for the name as it is looked up, and says nothing of another one */
  isPrinted?: true;
}

/** The name that a host is looked up and recorded by: lower case, `[host]:port` for ports other than 22. */
export const lookupName = (host: string, port: number): string =>
  port === DEFAULT_PORT ? lowerCase(host) : `[${lowerCase(host)}]:${port}`;

export const DEFAULT_PORT = 22;

/** ASCII alone, as in C: a name with other letters must stay of the same length and bytes. */
export const lowerCase = (text: string): string =>
  text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** Reads lines of known hosts; `file` is only remembered. Lines that make no sense are skipped, as ssh does. Never throws. */
export function parseKnownHosts(file: string, text: string): KnownHost[] {
  return text.split("\n").flatMap((line, index) => {
    const read = fieldsOf(line);
    const key = read && keyOf(read);
    if (read === null || key === null) return [];
    return [{ file, line: index + 1, marker: read.marker, hosts: read.hosts, key }];
  });
}

/** The words of a line that names a key. */
export interface Fields {
  marker: KnownHost["marker"];
  hosts: string;
  type: string;
  base64: string;
}

const words =
  /^[ \t]*(?:(@cert-authority|@revoked)[ \t]+)?([^ \t\0]+)(?:\0[ \t]*|[ \t]+)([^ \t\0]+)[ \t]+([^ \t\0]+)/;
// Blanks for base64 alone (isspace(3)): elsewhere they belong to the word that they are in, so that CRLF ends a line all the same.
const INSIDE_BASE64 = /[\r\v\f]+/g;

/** Reads a line as far as its words. A NUL ends it, but for one behind the hosts, which ssh takes for a blank. Gives null for a comment, and for what makes no sense. */
export function fieldsOf(line: string): Fields | null {
  const [, marker = null, hosts = "", type = "", key = ""] = words.exec(line) ?? [];
  const base64 = key.replaceAll(INSIDE_BASE64, "");
  // Another marker, or a second one: what it would mean nobody knows, so the line means nothing.
  if (hosts === "" || hosts.startsWith("@") || (marker === null && hosts.startsWith("#"))) return null;
  return { marker: marker as KnownHost["marker"], hosts, type, base64 };
}

/** The key of a line, or null where it is none: the line means nothing then. */
export function keyOf({ type, base64 }: Fields): Buffer | null {
  const key = decodeBase64(base64);
  return key === null || keyType(key) !== keyTypeOf(type) ? null : key;
}

/** Strictly: Buffer.from takes whatever looks a little like base64. Null for what is none. */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.length > 0 && bytes.toString("base64") === text ? bytes : null;
}

/** A host as known hosts know it: `host` is what is connected to, after ssh_config had its say. */
export interface HostName {
  host: string;
  port: number;
  hostKeyAlias: string | null;
}

/** A name that known hosts have in full: no port is added to it, or left out. */
export const asItIs = (name: string): HostName => ({ host: name, port: 0, hostKeyAlias: name });

/**
 * The name that a host is looked up and recorded by. An alias stands for host and port both: no port is added to it
 * (sshconnect.c, get_hostfile_hostname_ipaddr).
 */
export const recordName = ({ host, port, hostKeyAlias }: HostName): string =>
  hostKeyAlias === null ? lookupName(host, port) : lowerCase(hostKeyAlias);

/** Whether a line's hosts field names this host; `name` is in lower case. */
export function namesHost(hosts: string, name: string): boolean {
  if (hosts.startsWith("|")) return matchesHash(hosts, name);
  const patterns = lowerCase(hosts).split(",");
  if (patterns.some(isTooLong)) return false;
  const matches = (pattern: string) => matchesPattern(name, pattern);
  const negated = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => pattern.slice(1));
  return !negated.some(matches) && patterns.some((pattern) => !pattern.startsWith("!") && matches(pattern));
}

// match.c, match_pattern_list: with such a pattern in it a list matches nothing, whatever the others are.
const MOST_PATTERN_BYTES = 1022;

/** Whether ssh compares a pattern with nothing: it has more than 1022 bytes, behind its `!`. */
export const isTooLong = (pattern: string): boolean =>
  pattern.length - (pattern.startsWith("!") ? 1 : 0) > MOST_PATTERN_BYTES;

/** As long as the digest; OpenSSH takes no other. */
export const SALT_BYTES = 20;
const HASHED = /^\|1\|([^|]{28})\|[^|]{28}$/;

/** The salt of a hashed hosts field; null for one that is none. */
export function saltOf(hosts: string): Buffer | null {
  const [, text = ""] = HASHED.exec(hosts) ?? [];
  const salt = decodeBase64(text);
  return salt?.length === SALT_BYTES ? salt : null;
}

function matchesHash(hosts: string, name: string): boolean {
  const salt = saltOf(hosts);
  return salt !== null && hashedName(name, salt) === hosts;
}

/** The hosts field of a name under a salt of 20 bytes (HashKnownHosts). */
export const hashedName = (name: string, salt: Buffer): string =>
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
