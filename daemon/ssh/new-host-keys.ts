// What becomes of a host key that is not known: a person is asked, it is recorded in known_hosts, or in memory where that
// cannot be written.
import { messageOf } from "../../shared/errors.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { Caller } from "./caller.ts";
import type { HostConfig } from "./host-config.ts";
import { displayType, fingerprint } from "./host-key.ts";
import type { HostKeyFiles } from "./host-key-files.ts";
import type { HostKeyMemory } from "./host-key-memory.ts";
import { appendKnownHost } from "./known-hosts-record.ts";

// A disk that takes longer is not waited for: the key is in memory until it has answered.
const DEADLINE_MS = 5000;

export interface NewHostKeysOptions {
  config: HostConfig;
  memory: HostKeyMemory;
  files: HostKeyFiles;
  caller: Caller;
  clock: Clock;
  log: Log;
}

export class NewHostKeys {
  readonly #options: NewHostKeysOptions;
  #warnings: string[] = [];

  constructor(options: NewHostKeysOptions) {
    this.#options = options;
  }

  /** What a person should know: which keys could not be recorded, and why not. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** Whether there is a person to be asked. */
  get canAsk(): boolean {
    return this.#options.caller.isPresent;
  }

  /** Asks a person, as ssh asks (sshconnect.c, check_host_key). @throws TundError PROMPT_UNANSWERED */
  async isVouchedFor(name: string, key: Buffer): Promise<boolean> {
    const shown = fingerprint(key);
    let text = "Are you sure you want to continue connecting (yes/no/[fingerprint])? ";
    let instructions: string | null =
      `The authenticity of host '${name}' can't be established.\n` +
      `${displayType(key)} key fingerprint is ${shown}.`;
    for (;;) {
      const reply = await this.#options.caller.ask({
        kind: "host-key",
        instructions,
        text,
        echo: true,
        memo: null,
      });
      const said = reply.trim();
      if (said.toLowerCase() === "yes" || said === shown) return true;
      if (said === "" || said.toLowerCase() === "no") return false;
      instructions = null;
      text = "Please type 'yes', 'no' or the fingerprint: ";
    }
  }

  /**
   * Records a key by these names, the host's own first. A file that cannot be written is no reason to refuse a host that may
   * be accepted: the key is kept in memory then.
   * @throws TundError HOST_KEY_UNKNOWN when there is no room for it either
   */
  async record(names: readonly string[], key: Buffer): Promise<void> {
    const { config, memory, caller, log } = this.#options;
    const { userKnownHostsFile: file } = config;
    const [name = ""] = names;
    if (file === null) return;
    const type = displayType(key);
    const shown = names.join(",");
    try {
      for (const one of names) await this.#append(file, one, key);
      memory.forget({ file, name });
      log.info({ file, fingerprint: fingerprint(key) }, `recorded the ${type} host key of ${shown}`);
      caller.tell(`Warning: Permanently added '${shown}' (${type}) to the list of known hosts.`);
    } catch (error) {
      const warning =
        `the ${type} host key of ${shown} is in memory alone, and forgotten when tund ends: ${file} cannot be written ` +
        `(${messageOf(error)}); 'tunctl trust ${config.host}' records it once that is put right`;
      log.warn({ file, error: messageOf(error) }, `cannot record the host key of ${shown}`);
      memory.keep({ file, name }, [key]);
      caller.tell(`Failed to add the host to the list of known hosts (${file}).`);
      this.#warnings = [warning];
    }
  }

  /** Records a known key by the host's address as well (CheckHostIP). */
  async recordAddress(name: string | undefined, key: Buffer): Promise<void> {
    const { config, log } = this.#options;
    const { userKnownHostsFile: file } = config;
    if (name === undefined || file === null) return;
    try {
      await this.#append(file, name, key);
      log.info({ file, fingerprint: fingerprint(key) }, `recorded the host key of the address ${name}`);
    } catch (error) {
      log.warn({ file, error: messageOf(error) }, `cannot record the host key of the address ${name}`);
      this.#warnings = [
        `the host key of the address ${name} is not recorded: ${file} cannot be written (${messageOf(error)})`,
      ];
    }
  }

  async #append(file: string, name: string, key: Buffer): Promise<void> {
    const { clock, config, files } = this.#options;
    const line = { name, key: Buffer.from(key), hash: config.hashKnownHosts };
    await new Promise<void>((resolve, reject) => {
      const late = () => reject(new Error(`it did not answer within ${DEADLINE_MS / 1000} s`));
      const timer = clock.after(DEADLINE_MS, late);
      void files
        .alone(file, () => appendKnownHost(file, line))
        .then(resolve, reject)
        .finally(() => timer.cancel());
    });
  }
}
