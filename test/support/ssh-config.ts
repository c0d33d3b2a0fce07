import { writeFile } from "node:fs/promises";

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

const written = (settings: Settings): string[] =>
  Object.entries(settings).map(([name, value]) => `  ${name} ${value}`);
