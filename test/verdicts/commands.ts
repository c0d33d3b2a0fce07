// KnownHostsCommands of the table.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Around, hostOf, type Shown } from "./servers.ts";

/** Makes one, by its name in the table. Gives what stands in ssh_config. */
export async function makeCommand(name: string, of: Shown, around: Around): Promise<string> {
  const { authority, other, directory } = around;
  const { key, name: host } = around.server(of);
  const line = (text: string) => `echo '${text}'`;
  const own = line(`${host} ${key.publicKey}`);
  const scripts: Record<string, string> = {
    "prints nothing": "true",
    "prints the key": own,
    "prints the key, slowly": `sleep 0.4; ${own}`, // it is what is tried
    "prints another key": line(`${host} ${other.publicKey}`),
    "prints the key for another host": line(`elsewhere ${key.publicKey}`),
    "prints the key by the bare name": line(`127.0.0.1 ${key.publicKey}`),
    "prints @revoked key": line(`@revoked * ${key.publicKey}`),
    "prints @cert-authority": line(`@cert-authority * ${authority.publicKey}`),
    "prints @revoked authority": line(`@revoked * ${authority.publicKey}`),
    "prints the key when asked for the order alone": `test "$1" != ORDER || { ${own}; ${line(`127.0.0.1 ${key.publicKey}`)}; }`,
    "prints what the key is, if it is plain": `test "$2" = "${key.publicKey.split(" ")[0]}" && ${own}; true`,
    "prints garbage": "head -c 2000 /dev/urandom",
    "prints the key, and fails": `${own}; exit 1`,
    fails: "exit 3",
    "is killed": "kill -9 $$",
  };
  if (name === "is missing") return join(directory, "nonexistent-command");
  const script = scripts[name];
  if (script === undefined) throw new Error(`no command '${name}'`);
  await mkdir(join(directory, "commands"), { recursive: true });
  const path = join(directory, "commands", `${name.replaceAll(/[^a-z]/g, "-")}-${hostOf(of)}`);
  await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o700 });
  return `${path} %I %t`;
}
