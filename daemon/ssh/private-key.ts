// Private keys in files: PEM and OpenSSH's own format, encrypted or not, and signatures with them.
import type { BigIntStats } from "node:fs";
import { createPrivateKey, type KeyObject, sign, type SignKeyObjectInput } from "node:crypto";
import { type ParsedKey, utils } from "ssh2";
import type { Clock } from "../../shared/clock.ts";
import { errnoOf, messageOf } from "../../shared/errors.ts";
import { FileError, type Files } from "../files.ts";
import type { Children } from "./children.ts";
import { keyType } from "./host-key.ts";
import { keyBlockIn, publicBlobOf, readPem } from "./key-text.ts";
import { runTool } from "./tool.ts";
import { mpint, Reader, sshString } from "../wire-format.ts";

/** The passphrase does not open the file. */
export class WrongPassphrase extends Error {}

// As OpenSSH (authfile.c, MAX_KEY_FILE_SIZE), for certificates.
const MOST_BYTES = 1024 * 1024;
// The largest private key that ssh-keygen makes, RSA of 16384 bits, has 13 KB. To look through a MiB that is none can take
// ssh2's parser 60 ms, in which nobody else is served.
const MOST_PRIVATE_BYTES = 64 * 1024;
// A key derivation takes as long as its owner wanted it to: a hundred rounds are about a second.
export const OPEN_DEADLINE_MS = 60_000;

/** A private key that is ready to sign. */
export interface PrivateKey {
  /** the public half, as it is on the wire */
  blob: Buffer;
  key: KeyObject;
}

/** What stands in an identity file. */
export interface KeyFile {
  path: string;
  /** the public half; null when there is none, or only a passphrase would tell */
  blob: Buffer | null;
  /** null: it takes a passphrase, or there is a problem */
  privateKey: PrivateKey | null;
  isEncrypted: boolean;
  /** why it is of no use by itself */
  problem: string | null;
  /** it did not answer, and may do so another time */
  isStalled: boolean;
}

/** Reads an identity file. Gives null when there is nothing by that name; never throws. */
export async function readKeyFile(path: string, files: Files): Promise<KeyFile | null> {
  const reading = files.read(path, MOST_PRIVATE_BYTES).catch((error: unknown) => ({ error }));
  const beside = await publicKeyIn(`${path}.pub`, files).catch(() => null);
  const file = (more: Partial<KeyFile>): KeyFile => ({
    path,
    blob: beside,
    privateKey: null,
    isEncrypted: false,
    problem: null,
    isStalled: false,
    ...more,
  });
  const read = await reading;
  if ("error" in read) {
    const { error } = read;
    if (error instanceof FileError) return file({ problem: error.why, isStalled: error.isStalled });
    if (errnoOf(error) !== "ENOENT") return file({ problem: messageOf(error) });
    return beside === null
      ? null
      : file({ problem: "there is only its public half, and no agent holds the other" });
  }
  try {
    const found = file(contentOf(read.content.toString(), beside));
    const problem = found.problem ?? tooOpen(path, read.stats);
    return problem === null ? found : file({ ...found, privateKey: null, isEncrypted: false, problem });
  } catch (error) {
    const [line = ""] = messageOf(error).split("\n"); // an assertion of the parser's has more
    return file({ problem: line.replace(/:$/, "") });
  }
}

/** @throws Error when it is a private key that makes no sense */
function contentOf(text: string, beside: Buffer | null): Partial<KeyFile> {
  const block = keyBlockIn(text);
  if (block === null) return withoutKey(text);
  if (block.isEncrypted) return { isEncrypted: true, blob: beside };
  if (block.kind === "OPENSSH") return openSshKey(block.text, beside);
  const key = readPem(block);
  const blob = publicBlobOf(key);
  return { blob, privateKey: { blob, key } };
}

function withoutKey(text: string): Partial<KeyFile> {
  const parsed = first(utils.parseKey(text));
  if (parsed instanceof Error) return { problem: parsed.message };
  const blob = parsed.getPublicSSH();
  return parsed.isPrivateKey()
    ? opened(parsed)
    : { blob, problem: "it is a public key, and no agent holds its private half" };
}

// What ssh2's parser has read; PuTTY's format too, which ssh does not take.
function opened(parsed: ParsedKey): Partial<KeyFile> {
  const blob = parsed.getPublicSSH();
  return { blob, privateKey: { blob, key: createPrivateKey(parsed.getPrivatePEM()) } };
}

// OpenSSH's own format (PROTOCOL.key), which tells the public half also of a key that takes a passphrase.
function openSshKey(text: string, beside: Buffer | null): Partial<KeyFile> {
  const parsed = first(utils.parseKey(text));
  if (!(parsed instanceof Error)) return opened(parsed);
  const header = headerOf(text);
  if (header === null || header.cipher === "none") return { problem: unreadable(text, parsed) };
  // What ssh2 does not know of ciphers, ssh-add does.
  return { isEncrypted: true, blob: beside ?? header.blob };
}

// As ssh: a key that others can read is not used (authfile.c, sshkey_perm_ok).
function tooOpen(path: string, { mode, uid }: BigIntStats): string | null {
  if ((mode & 0o077n) === 0n || Number(uid) !== process.getuid?.()) return null;
  const shown = (mode & 0o777n).toString(8).padStart(4, "0");
  return `its permissions ${shown} are too open: chmod 600 ${path}`;
}

// A file without a key in it is an empty list, or (which its types do not say) nothing at all.
const first = (parsed: ParsedKey | ParsedKey[] | Error | undefined): ParsedKey | Error =>
  (Array.isArray(parsed) ? parsed[0] : parsed) ?? new Error("it holds no key");

/**
 * The public key in a file of one line; null when there is none. A certificate counts as its own blob.
 * @throws FileError for what is no regular file, or does not answer
 */
export async function publicKeyIn(path: string, files: Files): Promise<Buffer | null> {
  try {
    const { content } = await files.read(path, MOST_BYTES);
    const [, type, base64 = ""] = /^\s*(\S+)\s+(\S+)/.exec(content.toString()) ?? [];
    const blob = Buffer.from(base64, "base64");
    return keyType(blob) === type ? blob : null;
  } catch (error) {
    if (error instanceof FileError) throw error;
    return null;
  }
}

const MAGIC = "openssh-key-v1\0";

// The public half stands in the clear (PROTOCOL.key).
function headerOf(text: string): { cipher: string; blob: Buffer } | null {
  const [, base64 = ""] = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*)-----END/.exec(text) ?? [];
  try {
    const reader = new Reader(Buffer.from(base64, "base64"));
    if (reader.bytes(MAGIC.length).toString("latin1") !== MAGIC) return null;
    const cipher = reader.text();
    for (let field = 0; field < 2; field++) reader.string(); // KDF and its options
    return reader.uint32() === 1 ? { cipher, blob: Buffer.from(reader.string()) } : null;
  } catch {
    return null;
  }
}

function unreadable(text: string, error: Error): string {
  const type = keyType(headerOf(text)?.blob ?? Buffer.alloc(0)) ?? "";
  return type.startsWith("sk-")
    ? "it needs a security key, which tund reaches through an agent alone: ssh-add it"
    : error.message;
}

export interface DecryptOptions {
  path: string;
  passphrase: string;
  /** path of ssh2's key parser */
  parser: string;
  files: Files;
  env: NodeJS.ProcessEnv;
  children: Children;
  clock: Clock;
  /** ends it */
  signal: AbortSignal;
}

// What V8 was told here does not hold there: its key derivation runs in code that is compiled, and other memory than ours.
const OPEN = `
const { argv, stdout } = process;
const { parseKey } = require(argv[1]);
const { kind, text, passphrase } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const open = () => {
  if (kind !== "OPENSSH")
    return require("node:crypto").createPrivateKey({ key: text, passphrase }).export({ type: "pkcs8", format: "pem" });
  const parsed = [parseKey(text, passphrase)].flat()[0];
  if (parsed instanceof Error) throw parsed;
  return parsed.getPrivatePEM();
};
let opened;
try {
  opened = { pem: open() };
} catch (error) {
  opened = { error: error.message };
}
stdout.write(JSON.stringify(opened));`;

/**
 * Opens an encrypted key without OpenSSH's tools, in a process of its own: it takes half a second of processor time.
 * @throws WrongPassphrase; Error when it cannot be read, or it takes more than a minute
 */
export async function decrypt({
  path,
  passphrase,
  parser,
  files,
  ...rest
}: DecryptOptions): Promise<PrivateKey> {
  const block = keyBlockIn((await files.read(path, MOST_PRIVATE_BYTES)).content.toString());
  if (block === null) throw new Error("there is no private key in it any more");
  const { kind, text } = block;
  const { code, stdout, stderr } = await runTool(process.execPath, ["-e", OPEN, parser], {
    ...rest,
    input: JSON.stringify({ kind, text, passphrase }),
    what: `opening ${path}`,
    deadlineMs: OPEN_DEADLINE_MS,
  });
  if (code !== 0) throw new Error(`opening ${path} failed: ${stderr.trim().split("\n").at(-1) ?? ""}`);
  const answer = JSON.parse(stdout) as { pem: string } | { error: string };
  if ("error" in answer) throw new WrongPassphrase(answer.error);
  const key = createPrivateKey(answer.pem);
  return { blob: publicBlobOf(key), key };
}

const digests: ReadonlyMap<string, string> = new Map([
  ["rsa-sha2-256", "sha256"],
  ["rsa-sha2-512", "sha512"],
  ["ssh-rsa", "sha1"],
  ["ecdsa-sha2-nistp256", "sha256"],
  ["ecdsa-sha2-nistp384", "sha384"],
  ["ecdsa-sha2-nistp521", "sha512"],
]);

/**
 * Signs, as SSH has it on the wire: the algorithm's name and the signature (RFC 4253 section 6.6, RFC 5656 section 3.1.2).
 * In a thread: a large RSA key takes long enough to be noticed by whoever else is served.
 */
export async function signWith({ key }: PrivateKey, data: Buffer, algorithm: string): Promise<Buffer> {
  const isEcdsa = algorithm.startsWith("ecdsa-");
  const by: KeyObject | SignKeyObjectInput = isEcdsa ? { key, dsaEncoding: "ieee-p1363" } : key;
  const value = await new Promise<Buffer>((resolve, reject) => {
    sign(digests.get(algorithm) ?? null, data, by, (error, made) => (error ? reject(error) : resolve(made)));
  });
  const half = value.length / 2;
  const shown = isEcdsa
    ? Buffer.concat([mpint(value.subarray(0, half)), mpint(value.subarray(half))])
    : value;
  return Buffer.concat([sshString(algorithm), sshString(shown)]);
}
