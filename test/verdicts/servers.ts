// The servers of the table: one for each key and certificate that one can show.
import { setMaxListeners } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { certify, type Signing } from "../support/certificates.ts";
import { SshConfig } from "../support/ssh-config.ts";
import type { Key } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

const good = { principals: ["127.0.0.1", "db"], isHost: true, more: ["-z", "7", "-I", "good"] };

/** What servers show: their key, or a certificate; all by one authority but for the last. */
const signings = {
  plain: null,
  "plain rsa": null,
  good,
  "good ecdsa": good,
  "good rsa": good,
  expired: { ...good, validity: "20200101:20200102" },
  "not yet valid": { ...good, validity: "20990101:20990102" },
  "other principal": { ...good, principals: ["elsewhere"] },
  "no principals": { ...good, principals: [] },
  "user's": { ...good, isHost: false },
  "other authority": good,
} as const satisfies Record<string, Signing | null>;

export type Shown = keyof typeof signings;
const shown = Object.keys(signings) as Shown[];

export interface Server {
  sshd: Sshd;
  key: Key;
  /** what known hosts know it by: `[127.0.0.1]:PORT` */
  name: string;
  /** the line of its certificate */
  certificate: string | null;
}

/** What lines, lists and commands are made of. */
export interface Around {
  directory: string;
  authority: Key;
  /** keys that are nobody's */
  other: Key;
  otherRsa: Key;
  server: (shown: Shown) => Server;
  /** Makes a file of these lines. */
  file: (lines: readonly string[]) => Promise<string>;
}

const typeOf = (one: Shown): Key["type"] =>
  one.endsWith("rsa") ? "rsa" : one.endsWith("ecdsa") ? "ecdsa" : "ed25519";

/** The name of a host in ssh_config. */
export const hostOf = (one: Shown): string => one.replaceAll(/[^a-z]/g, "-");

/** Starts them all. @param stranger signs for one of them */
export async function startServers(authority: Key, stranger: Key): Promise<ReadonlyMap<Shown, Server>> {
  setMaxListeners(2 * shown.length, process); // each is ended when we are
  return new Map(
    await Promise.all(
      shown.map(async (one): Promise<[Shown, Server]> => {
        const signing: Signing | null = signings[one];
        const by = one === "other authority" ? stranger : authority;
        const sshd = await startSshd({
          hostKeyTypes: [typeOf(one)],
          ...(signing !== null && { certify: (key) => certify(by, key, signing) }),
        });
        const [key] = sshd.hostKeys as [Key];
        const certificate = signing === null ? null : (await readFile(`${key.path}-cert.pub`, "utf8")).trim();
        return [one, { sshd, key, name: `[127.0.0.1]:${sshd.port}`, certificate }];
      }),
    ),
  );
}

/** Writes an ssh_config in which `anything.SERVER` is a server, and `jump` and `stranger` lead to others. Gives its path. */
export async function writeConfig(directory: string, servers: ReadonlyMap<Shown, Server>): Promise<string> {
  const config = new SshConfig(join(directory, "ssh_config"), {
    IdentityFile: "none",
    IdentityAgent: "none",
    GlobalKnownHostsFile: "/dev/null",
    ServerAliveInterval: 0,
  });
  for (const [one, { sshd }] of servers)
    await config.add(`*.${hostOf(one)}`, { HostName: "127.0.0.1", Port: sshd.port, User: sshd.user });
  const jump = servers.get("plain rsa")?.sshd;
  if (jump === undefined) throw new Error("no server to jump over");
  const login = { HostName: "127.0.0.1", Port: jump.port, User: jump.user, IdentityFile: jump.identity };
  await config.add("jump", { ...login, UserKnownHostsFile: jump.knownHosts });
  await config.add("stranger", { ...login, UserKnownHostsFile: "/dev/null", StrictHostKeyChecking: "yes" });
  return config.path;
}
