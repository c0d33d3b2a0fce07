// Which masters there are: by the names that users gave, and by what decides their connection.
import type { Clock } from "../../shared/clock.ts";
import type { ConnectionOptions } from "../../shared/contract.ts";
import { TundError } from "../../shared/errors.ts";
import { formatAddress } from "../../shared/forward-spec.ts";
import type { Log } from "../../shared/log.ts";
import type { Connection } from "../ssh/connection.ts";
import type { ForwardingConfig } from "../ssh/forwarding-config.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import { Master } from "./master.ts";

export interface RosterOptions {
  resolve: (host: string, options?: ConnectionOptions) => Promise<HostConfig>;
  dial: (config: HostConfig, signal: AbortSignal) => Promise<Connection>;
  clock: Clock;
  random: () => number;
  pid: number;
  log: Log;
}

/** A host as its user names it: the master that it stands for, and what its own ssh_config says of forwards. */
export interface Named {
  master: Master;
  forwarding: ForwardingConfig;
}

export class Roster {
  readonly #options: RosterOptions;
  readonly #onReady: (master: Master) => void;
  readonly #names = new Map<string, Named>();
  /** two names of one connection share its master */
  readonly #masters = new Map<string, Master>();
  /** asked to be kept: a failure does not remove them */
  readonly #kept = new WeakSet<Master>();
  #closing = false;

  /** @param onReady called whenever a master has become ready */
  constructor(options: RosterOptions, onReady: (master: Master) => void) {
    this.#options = options;
    this.#onReady = onReady;
  }

  get masters(): Master[] {
    return [...this.#masters.values()];
  }

  /** The master that a name stands for. @throws TundError NOT_FOUND */
  named(host: string): Master {
    const found = this.#names.get(host);
    if (found !== undefined) return found.master;
    const known = [...this.#names.keys()].join(", ") || "none";
    throw new TundError("NOT_FOUND", `no master for ${host} (there are: ${known})`);
  }

  /** What ssh_config said of a host's forwards when it was last asked; undefined for a name that stands for no master. */
  forwardingOf(host: string): ForwardingConfig | undefined {
    return this.#names.get(host)?.forwarding;
  }

  /**
   * A host with its master ready. A master that never was ready and is not to be kept is gone when it fails.
   * @throws TundError why not
   */
  async ready(host: string, options?: ConnectionOptions): Promise<Named> {
    const named = await this.#acquire(host, options);
    await this.#whenReady(named.master);
    return named;
  }

  /** As ready(), with ssh_config asked anew although the master is up: for the forwards that it asks for. */
  async readyAnew(host: string, options?: ConnectionOptions): Promise<Named> {
    const { master } = await this.ready(host, options);
    const { identity, forwarding } = await this.#options.resolve(host, options);
    const named = { master, forwarding };
    if (identity === master.config.identity) this.#names.set(host, named);
    return named;
  }

  /** Keeps a host's master, whether or not it can be reached now. @throws TundError when ssh_config cannot be resolved */
  async keep(host: string): Promise<Master> {
    const { master } = await this.#acquire(host);
    this.#kept.add(master);
    return master;
  }

  /** Stops every master, and takes no new ones; after `drainMs` ends those that have not ended. */
  async close(drainMs: number): Promise<void> {
    this.#closing = true;
    const { masters } = this;
    for (const master of masters) master.stop();
    const timer = this.#options.clock.after(drainMs, () => masters.forEach((master) => master.exit()));
    await Promise.all(masters.map((master) => master.ended));
    timer.cancel();
  }

  async #whenReady(master: Master): Promise<void> {
    try {
      await master.whenReady();
      this.#kept.add(master);
    } catch (error) {
      const unused = master.forwards.length === 0 && !this.#kept.has(master);
      if (unused && master.state !== "connecting") master.exit();
      throw error;
    }
  }

  async #acquire(host: string, options?: ConnectionOptions): Promise<Named> {
    this.#refuseWhenClosing();
    const standing = this.#names.get(host);
    if (standing?.master.state === "ready" && options === undefined) return standing;
    const config = await this.#options.resolve(host, options);
    this.#refuseWhenClosing();
    const named = { master: this.#masterFor(host, config), forwarding: config.forwarding };
    named.master.names.add(host);
    this.#names.set(host, named);
    return named;
  }

  #masterFor(host: string, config: HostConfig): Master {
    const named = this.#names.get(host)?.master;
    const master = this.#masters.get(config.identity);
    if (named !== undefined && named !== master) return this.#reconfigure(named, config);
    return master ?? this.#create(config);
  }

  #refuseWhenClosing(): void {
    if (this.#closing) throw new TundError("SHUTTING_DOWN", "tund is shutting down");
  }

  // A name stands for one connection. One that is not up may be told anew how to be (ssh_config was mended); one that is
  // up, or shared with other names, or the double of another, may not.
  #reconfigure(master: Master, config: HostConfig): Master {
    if (master.state === "ready" || master.names.size > 1 || this.#masters.has(config.identity))
      throw new TundError(
        "HOST_CONFLICT",
        `${config.host} stands for ${master.config.user}@${formatAddress(master.config.hostname, master.config.port)} ` +
          `with other options: use another name for it (ssh://user@host:port), or 'tunctl exit ${config.host}' first`,
      );
    this.#masters.delete(master.config.identity);
    this.#masters.set(config.identity, master);
    master.config = config;
    return master;
  }

  #create(config: HostConfig): Master {
    const { dial, clock, random, pid, log } = this.#options;
    const master = new Master({
      config,
      dial,
      clock,
      random,
      pid,
      log: log.child({ host: config.host }),
      onReady: this.#onReady,
    });
    this.#masters.set(config.identity, master);
    void master.ended.then(() => {
      for (const name of master.names) this.#names.delete(name);
      this.#masters.delete(master.config.identity);
    });
    return master;
  }
}
