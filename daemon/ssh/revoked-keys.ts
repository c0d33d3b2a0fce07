// RevokedHostKeys of ssh_config(5): a list of public keys, or a key revocation list (ssh-keygen -k), which ssh-keygen reads.
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../shared/clock.ts";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
import { FileError, type Files, type OpenFile, versionOf } from "../files.ts";
import { goThrough, type Line } from "../lines.ts";
import { temporaryDirectory } from "../temporary.ts";
import type { Turns } from "../turns.ts";
import { parseCertificate } from "./certificate.ts";
import type { Children } from "./children.ts";
import { keyType } from "./host-key.ts";
import { decodeBase64 } from "./known-hosts.ts";
import { isWholeKey, plainKeyOf } from "./public-key.ts";
import { inLine } from "./said.ts";
import { NotRun, runTool } from "./tool.ts";

const KRL_MAGIC = "SSHKRL\n\0";
const DEADLINE_MS = 10_000;

interface Means {
  files: Files;
  slices: Turns;
  children: Children;
  clock: Clock;
  /** ends it: nobody waits for the answer */
  signal: AbortSignal;
}

/**
 * Whether a file revokes a host key, or the authority of a certificate.
 * @throws TundError when it cannot be told, since ssh refuses every key then: HOST_KEY_REVOKED, HOST_CONFIG_FAILED when it may
 * be told another time
 */
export async function isRevokedBy(file: string, key: Buffer, means: Means): Promise<boolean> {
  const { files, slices } = means;
  try {
    return (
      (await files.use(file, (open) => isListed(open, key, slices))) ?? (await isInKrl(file, key, means))
    );
  } catch (error) {
    const why = error instanceof FileError ? error.why : messageOf(error);
    const message = `no host key is taken while RevokedHostKeys ${file} cannot be read: ${why}`;
    const mayBeOver = error instanceof FileError && error.isStalled;
    throw new TundError(mayBeOver ? "HOST_CONFIG_FAILED" : "HOST_KEY_REVOKED", message, { cause: error });
  }
}

/** Whether a list has a key; null: it is a key revocation list. @throws Error that names the line that is no key */
async function isListed(file: OpenFile, key: Buffer, slices: Turns): Promise<boolean | null> {
  const authority = parseCertificate(key)?.authority;
  const bare = plainKeyOf(key);
  const head = Buffer.alloc(KRL_MAGIC.length);
  const start = head.toString("latin1", 0, await file.read(head));
  if (start === KRL_MAGIC) return null;
  let found = false;
  const look = ({ text, number }: Line) => {
    const one = keyIn(text, number);
    found = one !== null && (one.equals(bare) || authority?.equals(one) === true);
    return found ? "enough" : undefined;
  };
  await goThrough(file, slices, look, start);
  if (versionOf(await file.statsNow()) !== versionOf(file.stats))
    throw new FileError(file.path, "it was changed while it was read", true);
  return found;
}

/** Null for a line that says nothing. What ssh cannot read whole, it refuses as well (authfile.c, sshkey_in_file). */
function keyIn(line: string, number: number): Buffer | null {
  const [, word = "", base64 = ""] = /^[ \t]*([^ \t]*)[ \t]*([^ \t]*)/.exec(line) ?? [];
  if (word === "" || word.startsWith("#")) return null;
  const blob = decodeBase64(base64.replace(/\r$/, ""));
  if (blob === null || keyType(blob) !== word || !isWholeKey(blob))
    throw new Error(`its line ${number} is no public key, or not a whole one, of a type that tund knows`);
  return plainKeyOf(blob);
}

async function isInKrl(file: string, key: Buffer, { children, clock, signal }: Means): Promise<boolean> {
  const directory = await temporaryDirectory("tund-");
  try {
    const path = join(directory, "key.pub");
    await writeFile(path, `${keyType(key)} ${key.toString("base64")}\n`);
    const what = `ssh-keygen -Q for ${file}`;
    const limits = { what, deadlineMs: DEADLINE_MS, children, clock, signal };
    const { code, stdout, stderr } = await runTool("ssh-keygen", ["-Q", "-f", file, path], limits).catch(
      (error: unknown) => {
        throw unasked(file, error);
      },
    );
    if (code !== 0 && !stdout.includes("REVOKED")) throw new Error(inLine(stderr));
    return code !== 0;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

// That it did not answer may pass.
function unasked(file: string, error: unknown): FileError {
  const isMissing = error instanceof NotRun && errnoOf(error.cause) === "ENOENT";
  return new FileError(file, isMissing ? "there is no ssh-keygen on PATH" : messageOf(error), !isMissing);
}
