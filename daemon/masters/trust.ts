// Showing a host's keys, and recording those that somebody vouches for.
import type { HostKeys } from "../../shared/logins.ts";
import { TundError } from "../../shared/errors.ts";
import { displayType, fingerprint, keyType } from "../ssh/host-key.ts";
import { type HostConfig, hostNameOf } from "../ssh/host-config.ts";
import type { HostKeyFiles } from "../ssh/host-key-files.ts";
import { recordName, verdict } from "../ssh/known-hosts.ts";
import { appendKnownHost } from "../ssh/known-hosts-record.ts";
import { hostKeysOf, type Probing } from "../ssh/probe.ts";
import type { Transaction } from "./transaction.ts";

/** What a host shows, and what known hosts say of it. @throws TundError why it could not be looked at */
export async function shownKeys(
  host: string,
  probing: Probing & { hostKeyFiles: HostKeyFiles },
): Promise<HostKeys> {
  const name = hostNameOf(probing.config);
  const [keys, { hosts }] = await Promise.all([
    hostKeysOf(probing),
    probing.hostKeyFiles.find(probing.config.knownHostsFiles, name),
  ]);
  return {
    host,
    name: recordName(name),
    keys: keys.map((key) => ({
      type: displayType(key),
      fingerprint: fingerprint(key),
      publicKey: `${keyType(key)} ${key.toString("base64")}`,
      verdict: verdict(hosts, { ...name, key }).kind,
    })),
  };
}

/**
 * Records keys for a host, as long as somebody waits for that. Gives the file.
 * @throws TundError INVALID_REQUEST, HOST_KEY_REVOKED, and what the file system throws
 */
export async function recordKeys(
  config: HostConfig,
  publicKeys: readonly string[],
  { files, transaction }: { files: HostKeyFiles; transaction: Transaction },
): Promise<string> {
  const { userKnownHostsFile: file, hashKnownHosts: hash } = config;
  if (file === null)
    throw new TundError("INVALID_REQUEST", `${config.host} has no UserKnownHostsFile to record keys in`);
  const name = hostNameOf(config);
  const blobs = publicKeys.map(blobOf);
  const { hosts } = await files.find(config.knownHostsFiles, name);
  const isRevoked = blobs.some((key) => verdict(hosts, { ...name, key }).kind === "revoked");
  if (isRevoked) throw new TundError("HOST_KEY_REVOKED", `a key of ${recordName(name)} is revoked`);
  for (const key of blobs) {
    transaction.check();
    if (verdict(hosts, { ...name, key }).kind !== "known")
      await appendKnownHost(file, { name: recordName(name), key, hash });
  }
  return file;
}

function blobOf(publicKey: string): Buffer {
  const [type, base64 = ""] = publicKey.split(" ");
  const blob = Buffer.from(base64, "base64");
  if (keyType(blob) !== type) throw new TundError("INVALID_REQUEST", `'${publicKey}' is no public key`);
  return blob;
}
