// What cases are made of: servers with keys and certificates, lines of known_hosts, lists of what is revoked, commands that
// print known hosts. Everything that is signed or compiled is made once.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hashedName } from "../../daemon/ssh/known-hosts.ts";
import { makeKey } from "../support/ssh-key.ts";
import { tempDir } from "../support/temp-dir.ts";
import { makeCommand } from "./commands.ts";
import { makeList } from "./lists.ts";
import { type Around, type Server, type Shown, startServers, writeConfig } from "./servers.ts";

export interface Materials extends Around {
  /** an ssh_config that leads to every server */
  sshConfig: string;
  /** by its name in the table, for a server: the path */
  list(name: string, of: Shown): Promise<string>;
  /** by its name in the table, for a server: what stands in ssh_config */
  command(name: string, of: Shown): Promise<string>;
  stop(): Promise<void>;
}

/** Starts all servers. */
export async function makeMaterials(): Promise<Materials> {
  const place = await tempDir();
  const directory = place.path;
  const [authority, stranger, other, otherRsa] = await Promise.all([
    makeKey(join(directory, "authority"), "ed25519"),
    makeKey(join(directory, "other_authority"), "ed25519"),
    makeKey(join(directory, "other"), "ed25519"),
    makeKey(join(directory, "other_rsa"), "rsa"),
  ]);
  const servers = await startServers(authority, stranger);
  let files = 0;
  const around: Around = {
    directory,
    authority,
    other,
    otherRsa,
    server: (one) => servers.get(one) as Server,
    file: async (lines) => {
      const path = join(directory, `file-${files++}`);
      await writeFile(path, lines.map((line) => `${line}\n`).join(""));
      return path;
    },
  };
  const made = new Map<string, Promise<string>>();
  const once = (id: string, make: () => Promise<string>): Promise<string> => {
    const path = made.get(id) ?? make();
    made.set(id, path);
    return path;
  };
  return {
    ...around,
    sshConfig: await writeConfig(directory, servers),
    list: (name, of) => once(`list ${name} ${of}`, () => makeList(name, of, around)),
    command: (name, of) => once(`command ${name} ${of}`, () => makeCommand(name, of, around)),
    stop: async () => {
      await Promise.all([...servers.values()].map(({ sshd }) => sshd.stop()));
      await place.remove();
    },
  };
}

/** Lines of known_hosts by their names in the table. */
export function linesOf(name: string, of: Shown, around: Around): string[] {
  const { authority, other, otherRsa } = around;
  const { name: host, key } = around.server(of);
  const [own, ca] = [key.publicKey, authority.publicKey];
  const hashed = hashedName(host, Buffer.alloc(20, 7));
  const all: Record<string, string> = {
    known: `${host} ${own}`,
    "known, hashed": `${hashed} ${own}`,
    "known by a pattern": `[127.0.0.?]:* ${own}`,
    "known by the bare name": `127.0.0.1 ${own}`,
    "known by an alias": `db ${own}`,
    changed: `${host} ${other.publicKey}`,
    "changed, hashed": `${hashed} ${other.publicKey}`,
    "changed by an alias": `db ${other.publicKey}`,
    "another type": `${host} ${otherRsa.publicKey}`,
    "changed by the bare name": `127.0.0.1 ${other.publicKey}`,
    "@revoked key": `@revoked * ${own}`,
    "@revoked key for others": `@revoked elsewhere ${own}`,
    "@revoked key by the bare name": `@revoked 127.0.0.1 ${own}`,
    "@revoked other key": `@revoked * ${other.publicKey}`,
    "@cert-authority": `@cert-authority * ${ca}`,
    "@cert-authority for others": `@cert-authority elsewhere ${ca}`,
    "@cert-authority by the bare name": `@cert-authority 127.0.0.1 ${ca}`,
    "@cert-authority by an alias": `@cert-authority db ${ca}`,
    "@revoked authority": `@revoked * ${ca}`,
    "address known": `[0.0.0.0]:${around.server(of).sshd.port} ${own}`,
    "address changed": `[0.0.0.0]:${around.server(of).sshd.port} ${other.publicKey}`,
    "address @revoked": `@revoked [0.0.0.0]:${around.server(of).sshd.port} ${own}`,
  };
  if (name === "unknown") return [];
  return name.split(" + ").map((part) => {
    const line = all[part];
    if (line === undefined) throw new Error(`no lines are '${part}'`);
    return line;
  });
}
