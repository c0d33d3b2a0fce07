import { writeFile } from "node:fs/promises";
import { join } from "node:path";

type Settings = Readonly<Record<string, string | number>>;

/** An ssh_config file to which hosts can be added. */
export class SshConfig {
  readonly path: string;
  readonly #defaults: Settings;
  readonly #hosts = new Map<string, Settings>();

  /** @param defaults what holds for every host of it that does not say otherwise */
  constructor(path: string, defaults: Settings) {
    this.path = path;
    this.#defaults = defaults;
  }

  /** Adds a host (`Host name`), or replaces it, and writes the file. */
  async add(name: string, settings: Settings): Promise<void> {
    this.#hosts.set(name, settings);
    // What the host says takes the default's place: IdentityFile and its like would add up.
    const blocks = [...this.#hosts].map(([host, own]) =>
      [`Host ${host}`, ...written({ ...this.#defaults, ...own })].join("\n"),
    );
    await writeFile(this.path, `${blocks.join("\n\n")}\n`);
  }
}

/** The ssh_config of a server of ours on loopback, whose host key is known, for `alice` without a key of hers. */
export async function loopbackConfig(directory: string, port: number, hostKey: Buffer) {
  const knownHosts = join(directory, "known_hosts");
  const hostKeyLine = `[127.0.0.1]:${port} ssh-ed25519 ${hostKey.toString("base64")}`;
  await writeFile(knownHosts, `${hostKeyLine}\n`);
  const config = new SshConfig(join(directory, "ssh_config"), {
    HostName: "127.0.0.1",
    Port: port,
    User: "alice",
    IdentityFile: "none",
    IdentityAgent: "none",
    UserKnownHostsFile: knownHosts,
    GlobalKnownHostsFile: "/dev/null",
  });
  return { config, knownHosts, hostKeyLine };
}

const written = (settings: Settings): string[] =>
  Object.entries(settings).map(([name, value]) => `  ${name} ${value}`);
