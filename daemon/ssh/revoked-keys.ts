// RevokedHostKeys of ssh_config(5): a list of public keys, or a key revocation list (ssh-keygen -k), which ssh-keygen reads.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
import { parseCertificate } from "./certificate.ts";
import { keyType } from "./host-key.ts";

const KRL_MAGIC = "SSHKRL\n\0";
const DEADLINE_MS = 10_000;

/**
 * Whether a file revokes a host key, or the authority of a certificate.
 * @throws TundError HOST_KEY_REVOKED when it cannot be told: ssh refuses every key then
 */
export async function isRevokedBy(file: string, key: Buffer): Promise<boolean> {
  try {
    const content = await readFile(file);
    if (content.subarray(0, KRL_MAGIC.length).toString("latin1") === KRL_MAGIC)
      return await isInKrl(file, key);
    const authority = parseCertificate(key)?.authority;
    const bare = parseCertificate(key)?.key ?? key;
    return listed(content.toString("utf8")).some((one) => one.equals(bare) || authority?.equals(one));
  } catch (error) {
    const message = `no host key is taken while RevokedHostKeys ${file} cannot be read: ${messageOf(error)}`;
    throw new TundError("HOST_KEY_REVOKED", message, { cause: error });
  }
}

const listed = (text: string): Buffer[] =>
  text.split("\n").flatMap((line) => {
    const words = line.trim().split(/\s+/);
    const at = words.findIndex(
      (word, index) => keyType(Buffer.from(words[index + 1] ?? "", "base64")) === word,
    );
    return line.startsWith("#") || at === -1 ? [] : [Buffer.from(words[at + 1] ?? "", "base64")];
  });

async function isInKrl(file: string, key: Buffer): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), "tund-"));
  try {
    const path = join(directory, "key.pub");
    await writeFile(path, `${keyType(key)} ${key.toString("base64")}\n`);
    return await new Promise((resolve, reject) => {
      execFile("ssh-keygen", ["-Q", "-f", file, path], { timeout: DEADLINE_MS }, (error, stdout, stderr) => {
        if (error === null) return resolve(false);
        if (/REVOKED/.test(stdout)) return resolve(true);
        return reject(
          new Error(errnoOf(error) === "ENOENT" ? "there is no ssh-keygen on PATH" : stderr.trim()),
        );
      });
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
