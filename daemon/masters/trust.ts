// Showing a host's keys, and recording those that somebody vouches for.
import type { HostKeys } from "../../shared/logins.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import { displayType, fingerprint, keyType } from "../ssh/host-key.ts";
import { type HostConfig, hostNameOf } from "../ssh/host-config.ts";
import { type KnownHost, recordName } from "../ssh/known-hosts.ts";
import { appendKnownHost, isRecordable } from "../ssh/known-hosts-record.ts";
import { type Verdict, verdict } from "../ssh/known-hosts-verdict.ts";
import type { Outside } from "../ssh/outside.ts";
import { hostKeysOf, type Probing } from "../ssh/probe.ts";
import { isWholeKey } from "../ssh/public-key.ts";
import type { Transaction } from "./transaction.ts";

/**
 * What a host shows, and what known hosts say of it. What is in memory alone says nothing: recording replaces it.
 * @throws TundError why it could not be looked at
 */
export async function shownKeys(
  host: string,
  probing: Probing & Pick<Outside, "hostKeyFiles">,
): Promise<HostKeys> {
  const name = hostNameOf(probing.config);
  const [keys, { hosts }] = await Promise.all([
    hostKeysOf(probing),
    probing.hostKeyFiles.find(probing.config.knownHostsFiles, name),
  ]);
  return {
    host,
    name: recordName(name),
    keys: await Promise.all(
      keys.map(async (key) => ({
        type: displayType(key),
        fingerprint: fingerprint(key),
        publicKey: `${keyType(key)} ${key.toString("base64")}`,
        verdict: await standingOf(key, hosts, probing),
      })),
    ),
  };
}

interface Judging extends Pick<Outside, "hostKeyFiles"> {
  config: HostConfig;
  signal: AbortSignal;
}

/** What known hosts, and RevokedHostKeys, say of a plain key. @throws TundError when the latter cannot be told */
export async function standingOf(
  key: Buffer,
  hosts: readonly KnownHost[],
  { config, hostKeyFiles, signal }: Judging,
): Promise<Verdict["kind"]> {
  const list = await hostKeyFiles.revoking(config.revokedHostKeys, key, signal);
  return list !== null ? "revoked" : verdict(hosts, { ...hostNameOf(config), key }).kind;
}

/**
 * Records keys for a host, as long as somebody waits for that; where they cannot be written, they are kept in memory. Gives
 * the file, and why it could not be written.
 * @throws TundError INVALID_REQUEST, HOST_KEY_REVOKED, and why known hosts could not be read
 */
export async function recordKeys(
  config: HostConfig,
  publicKeys: readonly string[],
  {
    hostKeyFiles,
    hostKeyMemory,
    transaction,
  }: Pick<Outside, "hostKeyFiles" | "hostKeyMemory"> & {
    transaction: Transaction;
  },
): Promise<{ file: string; failure?: TundError }> {
  const { userKnownHostsFile: file, hashKnownHosts: hash } = config;
  if (file === null)
    throw new TundError("INVALID_REQUEST", `${config.host} has no UserKnownHostsFile to record keys in`);
  const host = hostNameOf(config);
  const name = recordName(host);
  if (!isRecordable(name))
    throw new TundError("INVALID_REQUEST", `'${name}' cannot be recorded as the name of a host`);
  const blobs = publicKeys.map(blobOf);
  const { hosts } = await hostKeyFiles.find(config.knownHostsFiles, host);
  const judging = { config, hostKeyFiles, signal: transaction.signal };
  const standings = await Promise.all(blobs.map((key) => standingOf(key, hosts, judging)));
  if (standings.includes("revoked")) throw new TundError("HOST_KEY_REVOKED", `a key of ${name} is revoked`);
  transaction.check();
  try {
    for (const [index, key] of blobs.entries()) {
      transaction.check();
      if (standings[index] === "known") continue;
      await hostKeyFiles.alone(file, () => appendKnownHost(file, { name, key, hash }));
    }
    hostKeyMemory.forget({ file, name });
    return { file };
  } catch (error) {
    if (error instanceof TundError) throw error;
    hostKeyMemory.keep({ file, name }, blobs);
    const message =
      `cannot record the host keys of ${name}: ${file} cannot be written (${messageOf(error)}). Until tund ends they are ` +
      "in memory, which counts unless StrictHostKeyChecking is yes; put that right, and trust them again";
    return { file, failure: new TundError("STATE_NOT_SAVED", message, { cause: error }) };
  }
}

function blobOf(publicKey: string): Buffer {
  const [type, base64 = ""] = publicKey.split(" ");
  const blob = Buffer.from(base64, "base64");
  if (keyType(blob) !== type || !isWholeKey(blob))
    throw new TundError("INVALID_REQUEST", `'${publicKey}' is no public key`);
  return blob;
}
