import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./run.ts";
import { tempDir } from "./temp-dir.ts";

/** A key pair that ssh-keygen made. */
export interface Key {
  type: "ed25519" | "ecdsa" | "rsa";
  /** path of the private key; the public one is beside it, with `.pub` */
  path: string;
  /** `TYPE BASE64`, as authorized_keys and known_hosts have it */
  publicKey: string;
  /** the public key as it is on the wire (RFC 4253 section 6.6) */
  blob: Buffer;
}

/**
 * Makes a key pair, without a passphrase unless one is given.
 * @throws Error with ssh-keygen's words when it fails
 */
export async function makeKey(path: string, type: Key["type"], passphrase = ""): Promise<Key> {
  const bits = type === "rsa" ? ["-b", "2048"] : []; // as quick as OpenSSH still accepts comfortably
  const args = ["-q", "-t", type, ...bits, "-N", passphrase, "-C", "test", "-f", path];
  const { code, stdout, stderr } = await run("ssh-keygen", args);
  if (code !== 0) throw new Error(`ssh-keygen failed: ${stdout}${stderr}`);
  const [name = "", base64 = ""] = (await readFile(`${path}.pub`, "utf8")).split(" ");
  return { type, path, publicKey: `${name} ${base64}`, blob: Buffer.from(base64, "base64") };
}

/** The private half of an encrypted ed25519 key: its seed (RFC 8032 section 5.1.5). */
export async function seedOf(key: Key, passphrase: string): Promise<Buffer> {
  const place = await tempDir();
  try {
    const copy = join(place.path, "copy");
    await writeFile(copy, await readFile(key.path), { mode: 0o600 });
    await run("ssh-keygen", ["-q", "-p", "-P", passphrase, "-N", "", "-f", copy]);
    const [, base64 = ""] = /KEY-----\n([^-]*)-/.exec(await readFile(copy, "utf8")) ?? [];
    const bytes = Buffer.from(base64, "base64");
    // It lies before the last public half (PROTOCOL.key).
    const at = bytes.lastIndexOf(key.blob.subarray(-32));
    return bytes.subarray(at - 32, at);
  } finally {
    await place.remove();
  }
}
