// Private keys in files: PEM and OpenSSH's own format, encrypted or not, and signatures with them.
import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { type ParsedKey, utils } from "ssh2";
import { errnoOf, messageOf } from "../../shared/errors.ts";
import { keyType } from "./host-key.ts";
import { mpint, Reader, sshString } from "../wire-format.ts";

/** A private key that is ready to sign. */
export interface PrivateKey {
  /** the public half, as it is on the wire */
  blob: Buffer;
  key: KeyObject;
}

/** What stands in an identity file. */
export interface KeyFile {
  path: string;
  /** the public half; null when only a passphrase would tell */
  blob: Buffer | null;
  /** null: it takes a passphrase, or there is a problem */
  privateKey: PrivateKey | null;
  isEncrypted: boolean;
  /** why it is of no use by itself */
  problem: string | null;
}

/** Reads an identity file. Gives null when there is nothing by that name; never throws. */
export async function readKeyFile(path: string): Promise<KeyFile | null> {
  const beside = await publicKeyIn(`${path}.pub`);
  const file = (more: Partial<KeyFile>): KeyFile => ({
    path,
    blob: beside,
    privateKey: null,
    isEncrypted: false,
    problem: null,
    ...more,
  });
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") return file({ problem: messageOf(error) });
    return beside === null
      ? null
      : file({ problem: "there is only its public half, and no agent holds the other" });
  }
  const parsed = first(utils.parseKey(text));
  if (parsed instanceof Error) {
    const isEncrypted = /no passphrase given/.test(parsed.message);
    if (!isEncrypted) return file({ problem: unreadable(text, parsed) });
    return (await tooOpen(path, file)) ?? file({ isEncrypted, blob: beside ?? publicHalfOf(text) });
  }
  if (!parsed.isPrivateKey())
    return file({
      blob: parsed.getPublicSSH(),
      problem: "it is a public key, and no agent holds its private half",
    });
  const open = await tooOpen(path, file);
  if (open !== null) return open;
  const privateKey = { blob: parsed.getPublicSSH(), key: createPrivateKey(parsed.getPrivatePEM()) };
  return file({ blob: privateKey.blob, privateKey });
}

// As ssh: a key that others can read is not used (authfile.c, sshkey_perm_ok).
async function tooOpen(path: string, file: (more: Partial<KeyFile>) => KeyFile): Promise<KeyFile | null> {
  const { mode, uid } = await stat(path);
  if ((mode & 0o077) === 0 || uid !== process.getuid?.()) return null;
  const shown = (mode & 0o777).toString(8).padStart(4, "0");
  return file({ problem: `its permissions ${shown} are too open: chmod 600 ${path}` });
}

const first = (parsed: ParsedKey | ParsedKey[] | Error): ParsedKey | Error =>
  Array.isArray(parsed) ? (parsed[0] ?? new Error("it holds no key")) : parsed;

/** The public key in a file of one line; null when there is none. A certificate counts as its own blob. */
export async function publicKeyIn(path: string): Promise<Buffer | null> {
  try {
    const [type, base64 = ""] = (await readFile(path, "utf8")).trim().split(/\s+/);
    const blob = Buffer.from(base64, "base64");
    return keyType(blob) === type ? blob : null;
  } catch {
    return null;
  }
}

const MAGIC = "openssh-key-v1\0";

// OpenSSH's format has the public half in the clear (PROTOCOL.key).
function publicHalfOf(text: string): Buffer | null {
  const [, base64 = ""] = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*)-----END/.exec(text) ?? [];
  try {
    const reader = new Reader(Buffer.from(base64, "base64"));
    if (reader.bytes(MAGIC.length).toString("latin1") !== MAGIC) return null;
    for (let field = 0; field < 3; field++) reader.string(); // cipher, KDF and its options
    if (reader.uint32() !== 1) return null;
    return Buffer.from(reader.string());
  } catch {
    return null;
  }
}

function unreadable(text: string, error: Error): string {
  const type = keyType(publicHalfOf(text) ?? Buffer.alloc(0)) ?? "";
  return type.startsWith("sk-")
    ? "it needs a security key, which tund reaches through an agent alone: ssh-add it"
    : error.message;
}

/**
 * Opens an encrypted key. Its key derivation is slow by design, and so it has a thread of its own: the daemon goes on.
 * @throws Error when the passphrase is wrong, or the file cannot be read
 */
export async function decrypt(path: string, passphrase: string): Promise<PrivateKey> {
  const text = await readFile(path, "utf8");
  const parser = createRequire(__filename).resolve("ssh2");
  const { pem, blob } = await inThread({ parser, text, passphrase });
  return { blob: Buffer.from(blob), key: createPrivateKey(pem) };
}

const OPEN = `
const { parentPort, workerData } = require("node:worker_threads");
const parsed = [require(workerData.parser).utils.parseKey(workerData.text, workerData.passphrase)].flat()[0];
parentPort.postMessage(
  parsed instanceof Error
    ? { error: parsed.message }
    : { pem: parsed.getPrivatePEM(), blob: parsed.getPublicSSH() },
);`;

interface Opened {
  pem: string;
  blob: Uint8Array;
}

function inThread(workerData: Record<string, string>): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(OPEN, { eval: true, workerData });
    worker.once("message", (answer: Opened | { error: string }) => {
      if ("error" in answer) reject(new Error(answer.error));
      else resolve(answer);
    });
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error("the thread that opens keys ended")));
  });
}

const digests: Readonly<Record<string, string>> = {
  "rsa-sha2-256": "sha256",
  "rsa-sha2-512": "sha512",
  "ssh-rsa": "sha1",
  "ecdsa-sha2-nistp256": "sha256",
  "ecdsa-sha2-nistp384": "sha384",
  "ecdsa-sha2-nistp521": "sha512",
};

/** Signs, as SSH has it on the wire: the algorithm's name and the signature (RFC 4253 section 6.6, RFC 5656 section 3.1.2). */
export function signWith({ key }: PrivateKey, data: Buffer, algorithm: string): Buffer {
  const isEcdsa = algorithm.startsWith("ecdsa-");
  const digest = digests[algorithm] ?? null;
  const value = sign(digest, data, isEcdsa ? { key, dsaEncoding: "ieee-p1363" } : key);
  const half = value.length / 2;
  const shown = isEcdsa
    ? Buffer.concat([mpint(value.subarray(0, half)), mpint(value.subarray(half))])
    : value;
  return Buffer.concat([sshString(algorithm), sshString(shown)]);
}
