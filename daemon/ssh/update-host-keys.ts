// UpdateHostKeys of ssh_config(5): a server that is known tells of its other keys, and which it has no more (PROTOCOL 2.5).
import { chmod, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { messageOf } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import { type HostConfig, hostNameOf } from "./host-config.ts";
import { isSignedBy } from "./certificate.ts";
import type { HostKeyConfig } from "./host-key-config.ts";
import type { HostVerifier } from "./host-verifier.ts";
import { keyType } from "./host-key.ts";
import {
  type HostName,
  type KnownHost,
  knownHostLine,
  namesIt,
  parseKnownHosts,
  recordName,
} from "./known-hosts.ts";
import type { SshClient } from "./ssh2/client.ts";
import { Reader, sshString } from "../wire-format.ts";

interface Update {
  add: Buffer[];
  remove: KnownHost[];
}

// What the server says can only be compared, and proven, as far as it can be read.
const comparable = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-)/;

/**
 * What to change in the user's first file, by ssh's rules (clientloop.c, hostkeys_find): nothing where a line of this host
 * has patterns, a marker or several other names, nor where an old key is known under another name. Null for nothing.
 * @param keys all that the server has, each proven
 */
function updateOf(known: readonly KnownHost[], name: HostName, keys: readonly Buffer[]): Update | null {
  const ofHost = known.filter((one) => namesIt(one, name));
  if (!ofHost.every(isSimple)) return null;
  const add = keys.filter((key) => !ofHost.some((one) => one.key.equals(key)));
  const old = ofHost.filter(
    (one) => comparable.test(keyType(one.key) ?? "") && !keys.some((key) => key.equals(one.key)),
  );
  const elsewhere = known.filter((one) => !ofHost.includes(one));
  if ([...add, ...old.map(({ key }) => key)].some((key) => elsewhere.some((one) => one.key.equals(key))))
    return null;
  return add.length + old.length === 0 ? null : { add, remove: old };
}

const isSimple = ({ marker, hosts }: KnownHost): boolean => marker === null && !/[*?!]|,.*,/.test(hosts);

/** Writes the file anew, whole. @throws what the file system throws; the file is as it was then */
async function writeUpdate(
  file: string,
  { add, remove }: Update,
  name: HostName,
  { hashKnownHosts }: Pick<HostKeyConfig, "hashKnownHosts">,
): Promise<void> {
  const text = await readFile(file, "utf8");
  const dropped = new Set(
    parseKnownHosts(file, text)
      .filter((one) => remove.some(({ key }) => key.equals(one.key)) && namesIt(one, name))
      .map(({ line }) => line),
  );
  const kept = text.split("\n").filter((_, index) => !dropped.has(index + 1));
  if (kept.at(-1) === "") kept.pop();
  const added = add.map((key) => knownHostLine({ name: recordName(name), key, hash: hashKnownHosts }));
  const fresh = `${file}.${process.pid}`;
  try {
    await writeFile(fresh, [...kept, ...added].map((line) => `${line}\n`).join(""), {
      mode: 0o600,
      flag: "wx",
    });
    await chmod(fresh, (await stat(file)).mode & 0o777);
    // Somebody may have added a line meanwhile: theirs must not be lost.
    if ((await readFile(file, "utf8")) !== text) throw new Error(`${file} was changed meanwhile`);
    await rename(fresh, file);
  } finally {
    await rm(fresh, { force: true });
  }
}

export interface Keeping {
  config: HostConfig;
  known: readonly KnownHost[];
  verifier: HostVerifier;
  log: Log;
}

/** Follows what the server says of its keys. A daemon has nobody to ask when they come, so `ask` is as good as no. */
export function keepHostKeys(client: SshClient, keeping: Keeping): void {
  const { config, verifier, log } = keeping;
  if (config.updateHostKeys !== "yes") return;
  client.onHostKeys(({ keys }) => {
    const file = config.userKnownHostsFile;
    // Vouched for by an authority, a command or a file that is not the user's: theirs is not to be changed.
    if (file === null || verifier.knownBy?.file !== file) return;
    follow(client, file, keys, keeping).catch((error: unknown) =>
      log.warn({ file, error: messageOf(error) }, "cannot update the host keys"),
    );
  });
}

async function follow(
  client: SshClient,
  file: string,
  all: readonly Buffer[] | null,
  { config, known, log }: Keeping,
): Promise<void> {
  if (all === null) throw new Error("the server's list of its keys makes no sense");
  const keys = all.filter((key) => comparable.test(keyType(key) ?? ""));
  if (keys.length === 0) return;
  await proveKeys(client, keys);
  const update = updateOf(known, hostNameOf(config), keys);
  if (update === null) return;
  await writeUpdate(file, update, hostNameOf(config), config);
  log.info({ file, added: update.add.length, removed: update.remove.length }, "host keys updated");
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
