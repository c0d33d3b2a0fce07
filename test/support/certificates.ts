// Certificates, as ssh-keygen signs them.
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { type Key, makeKey } from "./ssh-key.ts";
import { run } from "./run.ts";

export interface Signing {
  /** who it is for; nobody: a certificate that says nothing of it */
  principals: readonly string[];
  /** for a host instead of a user */
  isHost?: boolean;
  /** as `ssh-keygen -V` takes it */
  validity?: string;
  /** further arguments of ssh-keygen */
  more?: readonly string[];
  /** where it goes; beside the key, as `-cert.pub`, when it is left out */
  to?: string;
}

/** Has an authority certify a key. Gives the certificate's path. @throws Error in ssh-keygen's words */
export async function certify(authority: Key, key: Key, signing: Signing): Promise<string> {
  const { principals, isHost = false, validity = "+1h", more = [], to } = signing;
  const args = ["-q", "-s", authority.path, "-I", "test", "-V", validity];
  const { code, stderr } = await run("ssh-keygen", [
    ...args,
    ...(principals.length === 0 ? [] : ["-n", principals.join(",")]),
    ...(isHost ? ["-h"] : []),
    ...more,
    `${key.path}.pub`,
  ]);
  if (code !== 0) throw new Error(`ssh-keygen -s: ${stderr}`);
  const made = `${key.path}-cert.pub`;
  if (to !== undefined) await rename(made, to);
  return to ?? made;
}

/** Authorities of several types: the keys that certify others. Its files are made by `make`. */
export class Authorities {
  static readonly types = ["ed25519", "ecdsa", "rsa"] as const;
  readonly #keys = new Map<Key["type"], Key>();

  async make(directory: string): Promise<void> {
    for (const type of Authorities.types)
      this.#keys.set(type, await makeKey(join(directory, `ca_${type}`), type));
  }

  /** @throws Error before they are made */
  of(type: Key["type"]): Key {
    const key = this.#keys.get(type);
    if (key === undefined) throw new Error("not set up yet");
    return key;
  }
}
