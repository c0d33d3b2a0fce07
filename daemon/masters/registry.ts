// All masters and their forwards, by name: what the control API (and whatever else drives tund) sees of them.
import type { Clock } from "../../shared/clock.ts";
import type {
  CancelRequest,
  Check,
  ConnectionOptions,
  Forward,
  Master as MasterRecord,
  OpenRequest,
} from "../../shared/contract.ts";
import { TundError } from "../../shared/errors.ts";
import { formatAddress, parseForwardPattern, parseForwardSpec } from "../../shared/forward-spec.ts";
import type { Log } from "../../shared/log.ts";
import { LocalForward } from "../forwards/local.ts";
import type { Connection } from "../ssh/connection.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import { newId } from "./ids.ts";
import { Master } from "./master.ts";
import { isSame, type LocalSpec, sameBind, select, settle } from "./selection.ts";

export interface RegistryOptions {
  resolve: (host: string, options?: ConnectionOptions) => Promise<HostConfig>;
  dial: (config: HostConfig, signal: AbortSignal) => Promise<Connection>;
  clock: Clock;
  random: () => number;
  pid: number;
  log: Log;
}

const CHECK_DEADLINE_MS = 10_000;

export class Registry {
  readonly #options: RegistryOptions;
  readonly #names = new Map<string, Master>();
  /** masters by what decides their connection: two names of one connection share it */
  readonly #masters = new Map<string, Master>();
  /** asked to be kept: a failure does not remove them */
  readonly #kept = new WeakSet<Master>();
  /** told to somebody as active: another command's failure does not take them back */
  readonly #promised = new WeakSet<LocalForward>();
  #closing = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** Connects a host and keeps it connected. @throws TundError why it could not be; nothing is left then */
  async connect(host: string, options?: ConnectionOptions): Promise<MasterRecord> {
    return (await this.#ready(host, options)).snapshot();
  }

  /** Keeps a host connected, whether or not it can be reached now. @throws TundError when ssh_config cannot be resolved */
  async keep(host: string): Promise<void> {
    const master = await this.#acquire(host);
    this.#kept.add(master);
  }

  async masters(): Promise<MasterRecord[]> {
    return [...this.#masters.values()].map((master) => master.snapshot());
  }

  /** @throws TundError NOT_FOUND */
  async master(host: string): Promise<MasterRecord> {
    return this.#named(host).snapshot();
  }

  /** Probes the link itself. @throws TundError NOT_FOUND, PROBE_TIMEOUT, CONNECTION_LOST */
  async check(host: string): Promise<Check> {
    const roundTripMs = await this.#named(host).probe(CHECK_DEADLINE_MS);
    return { host, pid: this.#options.pid, roundTripMs };
  }

  /** Cancels all forwards of a master, which ends when its last channel has. @throws TundError NOT_FOUND */
  async stop(host: string): Promise<MasterRecord> {
    const master = this.#named(host);
    master.stop();
    return master.snapshot();
  }

  /** Ends a master at once; answers when it has ended. @throws TundError NOT_FOUND */
  async exit(host: string): Promise<MasterRecord> {
    const master = this.#named(host);
    master.exit();
    await master.ended;
    return master.snapshot();
  }

  /** Every forward, or those of one master. @throws TundError NOT_FOUND */
  async forwards(host?: string): Promise<Forward[]> {
    return this.#forwardsOf(host).map((forward) => forward.snapshot());
  }

  /** @throws TundError NOT_FOUND */
  async forward(id: string): Promise<Forward> {
    return this.#find(id).forward.snapshot();
  }

  /** Sets up forwards, all or none; an identical one that stands is taken as it is. @throws TundError why not */
  async openForwards(request: OpenRequest): Promise<Forward[]> {
    const specs = request.forwards.map(({ kind, spec }) => parseForwardSpec(kind, spec));
    for (const spec of specs) settle(spec, false); // what cannot be is refused before anything is dialled
    const master = await this.#ready(request.host, request.connection);
    const gatewayPorts = request.gatewayPorts ?? master.config.gatewayPorts;
    const made: LocalForward[] = [];
    try {
      const opened: LocalForward[] = [];
      for (const spec of specs) {
        const wanted = settle(spec, gatewayPorts);
        const standing = master.forwards.find((forward) => isSame(forward, wanted));
        const forward = standing ?? this.#make(master, request.host, wanted);
        if (standing === undefined) made.push(forward);
        await forward.listen();
        opened.push(forward);
      }
      refuseCancelled(opened);
      for (const forward of opened) this.#promised.add(forward);
      return opened.map((forward) => forward.snapshot());
    } catch (error) {
      for (const forward of made) if (!this.#promised.has(forward)) master.cancel(forward);
      throw error;
    }
  }

  /** Cancels what the request names: all of it, or none if any of it is not there. @throws TundError NOT_FOUND, INVALID_REQUEST */
  async cancel(request: CancelRequest): Promise<Forward[]> {
    const { host, ids = [], forwards = [], all = false } = request;
    if (ids.length === 0 && forwards.length === 0 && !all)
      throw new TundError("INVALID_REQUEST", "nothing to cancel: name forwards, ids, or all");
    if (forwards.length > 0 && host === undefined)
      throw new TundError("INVALID_REQUEST", "host is missing: a spec names a forward of one host");
    const known = this.#forwardsOf(host);
    const chosen = new Set(all ? known : []);
    for (const id of ids) {
      const forward = known.find((each) => each.id === id);
      if (forward === undefined) throw noForward(id, host);
      chosen.add(forward);
    }
    for (const { kind, spec } of forwards)
      chosen.add(select(known, parseForwardPattern(kind, spec), host ?? ""));
    return [...chosen].map((forward) => this.#cancel(forward));
  }

  /** Stops accepting everywhere, lets channels end for up to `drainMs`, then ends every master. */
  async close(drainMs: number): Promise<void> {
    this.#closing = true;
    const masters = [...this.#masters.values()];
    const { clock } = this.#options;
    for (const master of masters) master.stop();
    const timer = clock.after(drainMs, () => masters.forEach((master) => master.exit()));
    await Promise.all(masters.map((master) => master.ended));
    timer.cancel();
  }

  async #ready(host: string, options?: ConnectionOptions): Promise<Master> {
    const master = await this.#acquire(host, options);
    try {
      await master.whenReady();
      this.#kept.add(master);
      return master;
    } catch (error) {
      const unused = master.forwards.length === 0 && !this.#kept.has(master);
      if (unused && master.state !== "connecting") master.exit();
      throw error;
    }
  }

  async #acquire(host: string, options?: ConnectionOptions): Promise<Master> {
    if (this.#closing) throw new TundError("SHUTTING_DOWN", "tund is shutting down");
    const standing = this.#names.get(host);
    if (standing?.state === "ready" && options === undefined) return standing;
    const config = await this.#options.resolve(host, options);
    if (this.#closing) throw new TundError("SHUTTING_DOWN", "tund is shutting down");
    const named = this.#names.get(host);
    const master = this.#masters.get(config.identity);
    if (named !== undefined && named !== master) return this.#reconfigure(named, config);
    if (master === undefined) return this.#create(config);
    master.names.add(host);
    this.#names.set(host, master);
    return master;
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
    const master = new Master({ config, dial, clock, random, pid, log: log.child({ host: config.host }) });
    master.names.add(config.host);
    this.#names.set(config.host, master);
    this.#masters.set(config.identity, master);
    void master.ended.then(() => {
      for (const name of master.names) this.#names.delete(name);
      this.#masters.delete(master.config.identity);
    });
    return master;
  }

  #make(master: Master, host: string, spec: LocalSpec): LocalForward {
    const rival = this.#forwardsOf().find((forward) => sameBind(forward, spec));
    if (rival !== undefined)
      throw new TundError(
        "BIND_IN_USE",
        `cannot listen on ${formatAddress(spec.bind.address, spec.bind.port)}: ` +
          `it is held by forward ${rival.id} (${rival.spec}) on ${rival.host}`,
        { details: { holder: rival.id } },
      );
    const id = newId((candidate) => this.#forwardsOf().some((forward) => forward.id === candidate));
    const forward = new LocalForward({
      id,
      host,
      ...spec,
      openChannel: (from, to) => master.openChannel(from, to),
      onConnectionEnd: () => master.connectionEnded(),
      clock: this.#options.clock,
      log: this.#options.log.child({ host, forward: id }),
    });
    master.adopt(forward);
    return forward;
  }

  #cancel(forward: LocalForward): Forward {
    const { master } = this.#find(forward.id);
    master.cancel(forward);
    this.#options.log.info({ host: forward.host, forward: forward.id }, `cancelled ${forward.spec}`);
    return forward.snapshot();
  }

  #named(host: string): Master {
    const master = this.#names.get(host);
    if (master !== undefined) return master;
    const known = [...this.#names.keys()].join(", ") || "none";
    throw new TundError("NOT_FOUND", `no master for ${host} (there are: ${known})`);
  }

  #forwardsOf(host?: string): LocalForward[] {
    const masters = host === undefined ? [...this.#masters.values()] : [this.#named(host)];
    return masters.flatMap((master) => master.forwards);
  }

  #find(id: string): { master: Master; forward: LocalForward } {
    for (const master of this.#masters.values()) {
      const forward = master.forwards.find((each) => each.id === id);
      if (forward !== undefined) return { master, forward };
    }
    throw noForward(id);
  }
}

// Somebody else's cancel, or the failure of the command that made one, may come between listening and the answer.
function refuseCancelled(opened: readonly LocalForward[]): void {
  const lost = opened.find((forward) => forward.state !== "active");
  if (lost !== undefined)
    throw new TundError("BIND_FAILED", `${lost.spec} was cancelled while it was being set up`);
}

const noForward = (id: string, host?: string): TundError =>
  new TundError("NOT_FOUND", `no forward ${id}${host === undefined ? "" : ` on ${host}`}`);
