// UpdateHostKeys of ssh_config(5): a server that is known tells of its other keys, and which it has no more (PROTOCOL 2.5).
import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { messageOf } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Files } from "../files.ts";
import { type HostConfig, hostNameOf } from "./host-config.ts";
import { isSignedBy } from "./certificate.ts";
import type { HostKeyFiles } from "./host-key-files.ts";
import type { HostVerifier } from "./host-verifier.ts";
import { keyType } from "./host-key.ts";
import { type KnownHost, parseKnownHosts, recordName } from "./known-hosts.ts";
import { namesIt } from "./known-hosts-verdict.ts";
import { knownHostLine } from "./known-hosts-record.ts";
import type { SshClient } from "./ssh2/client.ts";
import { Reader, sshString } from "../wire-format.ts";

const MOST_BYTES = 64 * 1024 * 1024;

interface Update {
  add: Buffer[];
  remove: KnownHost[];
}

// What the server says can only be compared, and proven, as far as it can be read.
const comparable = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-)/;

/**
 * What to change in the user's first file, by ssh's rules (clientloop.c, hostkeys_find): nothing where a line of this host
 * has patterns, a marker or several other names, nor where an old key is known under another name. Null for nothing. The
 * key by which the server was just known stays, whatever it lists: the next login may show that one again.
 * @param keys all that the server has, each proven
 */
async function updateOf(
  { known, config, hostKeyFiles, verifier }: Keeping,
  keys: readonly Buffer[],
): Promise<Update | null> {
  const name = hostNameOf(config);
  const ofHost = known.filter((one) => namesIt(one, name));
  if (!ofHost.every(isSimple)) return null;
  const add = keys.filter((key) => !ofHost.some((one) => one.key.equals(key)));
  const staying = [...keys, ...(verifier.knownKey === undefined ? [] : [verifier.knownKey])];
  const old = ofHost.filter(
    (one) => comparable.test(keyType(one.key) ?? "") && !staying.some((key) => key.equals(one.key)),
  );
  if (add.length + old.length === 0) return null;
  const touched = [...add, ...old.map(({ key }) => key)];
  const { hosts } = await hostKeyFiles.find(config.knownHostsFiles, name, touched);
  const elsewhere = [...known, ...hosts].filter((one) => !namesIt(one, name));
  const isElsewhere = touched.some((key) => elsewhere.some((one) => one.key.equals(key)));
  return isElsewhere ? null : { add, remove: old };
}

const isSimple = ({ marker, hosts }: KnownHost): boolean => marker === null && !/[*?!]|,.*,/.test(hosts);

/** Writes the file anew, whole. @throws what the file system throws; the file is as it was then */
async function writeUpdate(file: string, { add, remove }: Update, keeping: Keeping): Promise<void> {
  const { config, files, hostKeyFiles } = keeping;
  const name = hostNameOf(config);
  const { hosts } = await hostKeyFiles.find([file], name);
  const { content, stats } = await files.read(file, MOST_BYTES);
  const dropped = hosts.filter((one) => namesIt(one, name) && remove.some(({ key }) => key.equals(one.key)));
  const kept = without(content, dropped);
  const isEnded = kept.at(-1)?.at(-1) === NEWLINE || kept.length === 0;
  // Another link to the same host may have added some of them while this one waited.
  const missing = add.filter((key) => !hosts.some((one) => namesIt(one, name) && one.key.equals(key)));
  if (missing.length + dropped.length === 0) return;
  const added = missing.map((key) =>
    knownHostLine({ name: recordName(name), key, hash: config.hashKnownHosts }),
  );
  const fresh = `${file}.${process.pid}.${randomBytes(6).toString("hex")}`;
  try {
    const text = `${isEnded ? "" : "\n"}${added.map((line) => `${line}\n`).join("")}`;
    const handle = await open(fresh, "wx", 0o600);
    try {
      for (const part of [...kept, Buffer.from(text)]) await handle.writeFile(part);
      await handle.chmod(Number(stats.mode) & 0o777);
    } finally {
      await handle.close();
    }
    // Somebody may have added a line meanwhile: theirs must not be lost.
    if (!(await files.read(file, MOST_BYTES)).content.equals(content)) throw changed(file);
    await rename(fresh, file);
  } finally {
    await rm(fresh, { force: true });
  }
}

const NEWLINE = 0x0a;

const changed = (file: string): Error => new Error(`${file} was changed meanwhile`);

/** The parts of a file that are left when lines of it are taken out. @throws Error when they are not there any more */
function without(content: Buffer, lines: readonly KnownHost[]): Buffer[] {
  const parts: Buffer[] = [];
  let end = 0;
  for (const { file, hosts, key, span } of lines) {
    const { from = 0, to = 0 } = span ?? {};
    const [there] = parseKnownHosts(file, content.toString("utf8", from, to));
    const isWhole = from === 0 || content[from - 1] === NEWLINE;
    if (!isWhole || there?.hosts !== hosts || !there.key.equals(key)) throw changed(file);
    parts.push(content.subarray(end, from));
    end = to;
  }
  return [...parts, content.subarray(end)].filter((part) => part.length > 0);
}

export interface Keeping {
  config: HostConfig;
  known: readonly KnownHost[];
  verifier: HostVerifier;
  files: Files;
  hostKeyFiles: HostKeyFiles;
  log: Log;
  /** what a person should know */
  warnings: string[];
}

/** Follows what the server says of its keys. A daemon has nobody to ask when they come, so `ask` is as good as no. */
export function keepHostKeys(client: SshClient, keeping: Keeping): void {
  const { config, verifier, log, warnings } = keeping;
  if (config.updateHostKeys !== "yes") return;
  client.onHostKeys(({ keys }) => {
    const file = config.userKnownHostsFile;
    // Vouched for by an authority, a command or a file that is not the user's: theirs is not to be changed.
    if (file === null || verifier.knownBy?.file !== file) return;
    follow(client, file, { keys, keeping }).catch((error: unknown) => {
      log.warn({ file, error: messageOf(error) }, "cannot update the host keys");
      const name = recordName(hostNameOf(config));
      warnings.push(
        `the host keys of ${name} are left as they are in ${file} (UpdateHostKeys): ${messageOf(error)}`,
      );
    });
  });
}

async function follow(
  client: SshClient,
  file: string,
  { keys: all, keeping }: { keys: readonly Buffer[] | null; keeping: Keeping },
): Promise<void> {
  if (all === null) throw new Error("the server's list of its keys makes no sense");
  const keys = all.filter((key) => comparable.test(keyType(key) ?? ""));
  if (keys.length === 0) return;
  await proveKeys(client, keys);
  const update = await updateOf(keeping, keys);
  if (update === null) return;
  await keeping.hostKeyFiles.alone(file, () => writeUpdate(file, update, keeping));
  keeping.log.info({ file, added: update.add.length, removed: update.remove.length }, "host keys updated");
}

const PROVE = "hostkeys-prove-00@openssh.com";

/** Has the server sign for each key (OpenSSH PROTOCOL section 2.5). @throws Error unless it does for every one of them */
async function proveKeys(client: SshClient, keys: readonly Buffer[]): Promise<void> {
  const sessionId = client.userAuth?.sessionId;
  const answer = await client.request(PROVE, Buffer.concat(keys.map(sshString)));
  if (answer === null || sessionId === undefined)
    throw new Error("the server does not prove the keys that it lists");
  const reader = new Reader(answer);
  for (const key of keys)
    if (!isSignedBy(key, Buffer.concat([PROVE, sessionId, key].map(sshString)), reader.string()))
      throw new Error("the server does not prove every key that it lists");
}
