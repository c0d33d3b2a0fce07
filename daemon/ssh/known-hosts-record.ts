// Recording host keys in known_hosts.
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { TundError } from "../../shared/errors.ts";
import { makeDirectory } from "../../shared/make-directory.ts";
import { keyType } from "./host-key.ts";
import { hashedName, lowerCase, SALT_BYTES } from "./known-hosts.ts";

export interface NewKnownHost {
  /** as `lookupName` gives it, or the alias */
  name: string;
  key: Buffer;
  /** whether to hide the name (HashKnownHosts) */
  hash: boolean;
}

// A name with `*` or `,` in it would have the key trusted for hosts that nobody was asked about (sshconnect.c).
const recordable = /^(?:[^\s\p{Cc}@?*#[\]|'"\\,!]+|\[[^\s\p{Cc}@?*#[\]|'"\\,!]+\]:[0-9]+)$/u;

/** Whether a key can be recorded by this name, and by no other host's with it. */
export const isRecordable = (name: string): boolean => recordable.test(lowerCase(name));

/** The line for a key, without an end of line. @throws TundError INVALID_REQUEST for a name that would mean other hosts as well */
export function knownHostLine({ name, key, hash }: NewKnownHost): string {
  const type = keyType(key);
  const host = lowerCase(name);
  if (type === null || !recordable.test(host))
    throw new TundError("INVALID_REQUEST", `'${name}' cannot be recorded as the name of a host`);
  return `${hash ? hashedName(host, randomBytes(SALT_BYTES)) : host} ${type} ${key.toString("base64")}`;
}

/**
 * Adds a line to a known_hosts file, in one write; the file (0600) and its directory (0700) are made if need be.
 * @throws TundError INVALID_REQUEST for a name that would mean other hosts as well, and what the file system throws
 */
export async function appendKnownHost(file: string, wanted: NewKnownHost): Promise<void> {
  const line = `${knownHostLine(wanted)}\n`;
  await makeDirectory(dirname(file), 0o700);
  const handle = await open(file, "a+", 0o600);
  try {
    const { size } = await handle.stat();
    const last = Buffer.alloc(1, "\n");
    if (size > 0) await handle.read(last, 0, 1, size - 1);
    await handle.appendFile(last.toString() === "\n" ? line : `\n${line}`);
  } finally {
    await handle.close();
  }
}
