// Which masters there are: by the names that users gave, and by what decides their connection.
import type { Clock } from "../../shared/clock.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import { TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Connection } from "../ssh/connection.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import type { Wire } from "../ssh/wire.ts";
import { isUnresolved, unresolved } from "../ssh/unresolved.ts";
import type { Attempt, Dial } from "./attempts.ts";
import type { Member } from "./company.ts";
import { type DialOver, Hops } from "./hops.ts";
import { Master } from "./master.ts";
import type { Held, MasterOptions } from "./master-options.ts";
import { MuxSockets, type ServeMux } from "./mux-sockets.ts";
import { type Named, Names } from "./names.ts";
import { isHeld, standsForAnother } from "./refusals.ts";
import { isOver } from "./state.ts";
import type { Patience } from "./waiters.ts";

export interface RosterOptions {
  resolve: (host: string, options?: ConnectionOptions) => Promise<HostConfig>;
  dial: DialOver;
  /** serves those who come to mux sockets */
  serveMux: ServeMux;
  clock: Clock;
  random: () => number;
  pid: number;
  log: Log;
}

/** What the roster tells of. */
export interface RosterEvents {
  /** a master has become ready */
  onReady: (master: Master) => void;
  /** anything about a master but its counters has changed */
  onChange: (master: Master) => void;
  /** a host whose place was reserved has its true master now; the one before ends */
  onResolved: (host: string, named: Named, before: Master) => void;
}

export class Roster {
  readonly #options: RosterOptions;
  readonly #events: RosterEvents;
  readonly #names: Names;
  /** two names of one connection share its master */
  readonly #masters = new Map<string, Master>();
  /** were ready once, or are to be kept: a failure does not remove them */
  readonly #lasting = new WeakSet<Master>();
  readonly #hops: Hops;
  #closing = false;

  constructor(options: RosterOptions, events: RosterEvents) {
    this.#options = options;
    this.#events = events;
    this.#names = new Names(new MuxSockets(options.serveMux, options.log));
    this.#hops = new Hops({
      acquire: ({ name, options: given }) => this.#hop(name, given),
      release: (hop) => this.release(hop),
      clock: options.clock,
    });
  }

  /** The names that there are, and their masters. */
  get names(): Names {
    return this.#names;
  }

  get masters(): Master[] {
    return this.#names.masters;
  }

  /** Whether the daemon is ending: what happens to masters now is nobody's wish. */
  get isClosing(): boolean {
    return this.#closing;
  }

  /** The master that a name stands for. @throws TundError NOT_FOUND */
  named(host: string): Master {
    return this.#names.master(host);
  }

  /**
   * A host with its master ready. A master that never was ready and is not to be kept is gone when it fails.
   * @throws TundError why not
   */
  async ready(host: string, options?: ConnectionOptions, patience?: Patience): Promise<Named> {
    const named = await this.acquire(host, options);
    await this.#whenReady(named.master, patience);
    await this.#placeMux(host); // whoever was answered may drive it there
    return named;
  }

  /** As ready(), with ssh_config asked anew although the master is up: for the forwards that it asks for. */
  async readyAnew(host: string, options?: ConnectionOptions, patience?: Patience): Promise<Named> {
    const named = await this.ready(host, options, patience);
    const { identity, forwarding, controlPath } = await this.#options.resolve(host, named.options);
    const anew = { ...named, forwarding, controlPath };
    if (identity !== named.master.config.identity) return anew;
    this.#names.set(host, anew);
    await this.#placeMux(host);
    return anew;
  }

  /** Drops a host's link and dials now, as ssh_config is now. @throws TundError why the attempt failed */
  async reconnect(host: string): Promise<Master> {
    const before = this.named(host);
    if (isUnresolved(before.config)) return (await this.ready(host)).master;
    if (before.held !== null) throw isHeld(host);
    const config = await this.#options.resolve(host, this.#names.get(host)?.options);
    const master = this.named(host);
    if (master.names.size === 1 && !this.#masters.has(config.identity)) this.#rekey(master, config);
    await master.reconnect();
    return master;
  }

  /** A way to a host for a look at it: through the masters that lead there, where there are any. @throws TundError why not */
  async wireFor(config: HostConfig, member: Member): Promise<Wire | undefined> {
    return config.way.kind === "jump" ? this.#hops.wireFor(config, config.way.hop, member) : undefined;
  }

  /** A command that needed a master has failed: one that nobody else needs ends. */
  release(master: Master): void {
    // Another command may be waiting for the next attempt.
    const isNeeded = this.#lasting.has(master) || master.isAwaited || this.#hops.isHop(master);
    if (!master.isCarrying && !isNeeded) master.exit();
  }

  /** Lets a master stay, whether or not it can be reached. */
  keep(master: Master): void {
    this.#lasting.add(master);
  }

  /**
   * A host with its master, in whatever state that is.
   * @param start whether a new one dials now, or when it is needed
   * @throws TundError when ssh_config cannot be resolved, HOST_CONFLICT
   */
  async acquire(
    host: string,
    given?: ConnectionOptions,
    start: "connecting" | "idle" = "connecting",
  ): Promise<Named> {
    this.#refuseWhenClosing();
    const standing = this.#names.get(host);
    if (standing?.master.state === "ready" && given === undefined) return standing;
    const options = given ?? standing?.options;
    const config = await this.#options.resolve(host, options);
    this.#refuseWhenClosing();
    const before = this.#names.get(host)?.master;
    const reserved = before !== undefined && isUnresolved(before.config) ? before : undefined;
    const master = this.#masterFor(config, reserved === undefined ? before : undefined, start);
    const { forwarding, controlPath } = config;
    const named = { master, options, forwarding, controlPath };
    this.#name(host, named);
    if (reserved !== undefined) {
      this.keep(master);
      this.#events.onResolved(host, named, reserved);
      reserved.exit();
    }
    void this.#placeMux(host); // not waited for: who comes now is to be with the master when it dials
    return named;
  }

  /**
   * Makes a master that is its holder's alone: nobody shares it, and it ends with its link.
   * @throws TundError NAME_IN_USE when there is one of that name
   */
  hold(name: string, config: HostConfig, held: Held): Named {
    this.#refuseWhenClosing();
    if (this.#names.get(name) !== undefined)
      throw new TundError("NAME_IN_USE", `there is a master at ${name} already`);
    const own = { ...config, host: name, identity: `held:${name}` };
    const master = this.#create(own, "connecting", { held });
    const named = { master, options: undefined, forwarding: config.forwarding, controlPath: null };
    this.#name(name, named);
    return named;
  }

  /** Keeps a place for a host, and asks ssh_config about it as often as it takes; nobody waits. Its true master follows. */
  reserve(host: string, options?: ConnectionOptions): Named {
    const config = unresolved(host);
    const dial: Dial = async () => {
      await Promise.resolve(); // it is given its name and its forwards first
      await this.acquire(host, undefined, master.isOnDemand ? "idle" : "connecting");
      throw new TundError("CONNECTION_LOST", `${host} has another master now`); // nobody hears it: this one has ended
    };
    const master = this.#create(config, "connecting", { dial });
    const named = { master, options, forwarding: config.forwarding, controlPath: null };
    this.#name(host, named);
    this.keep(master);
    return named;
  }

  #name(host: string, named: Named): void {
    if (this.#names.set(host, named)) this.#changed(named.master);
  }

  #changed(master: Master): void {
    const { state } = master;
    if (state === "idle") this.#hops.leave(master);
    if (isOver(state)) this.#names.releaseMux(master);
    // What ssh promises of its own masters. Not in the middle of a change.
    else if (master.held !== null && !["connecting", "ready"].includes(state))
      queueMicrotask(() => master.exit());
    // One that kept a place for another has nothing more to say once that one is there.
    if (this.#names.of(master).length > 0) this.#events.onChange(master);
  }

  async #placeMux(host: string): Promise<void> {
    await this.#names.placeMux(host);
    const named = this.#names.get(host);
    if (named !== undefined) this.#changed(named.master);
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

  async #whenReady(master: Master, patience: Patience | undefined): Promise<void> {
    try {
      await master.whenReady(patience);
      this.keep(master);
    } catch (error) {
      this.release(master);
      throw error;
    }
  }

  #masterFor(config: HostConfig, before: Master | undefined, start: "connecting" | "idle"): Master {
    const master = this.#masters.get(config.identity);
    if (before !== undefined && before !== master) return this.#reconfigure(before, config);
    return master ?? this.#create(config, start);
  }

  #refuseWhenClosing(): void {
    if (this.#closing) throw new TundError("SHUTTING_DOWN", "tund is shutting down");
  }

  // A name stands for one connection. One that is not up may be told anew how to be (ssh_config was mended); one that is
  // up, or shared with other names, or the double of another, may not.
  #reconfigure(master: Master, config: HostConfig): Master {
    if (master.state === "ready" || master.names.size > 1 || this.#masters.has(config.identity))
      throw standsForAnother(config.host, master.config);
    return this.#rekey(master, config);
  }

  #rekey(master: Master, config: HostConfig): Master {
    this.#masters.delete(master.config.identity);
    this.#masters.set(config.identity, master);
    master.config = config;
    return master;
  }

  // One that leads to others is used as it is; whatever options it was connected with.
  async #hop(name: string, options: ConnectionOptions): Promise<Master> {
    const standing = this.#names.get(name)?.master;
    if (standing !== undefined && !isUnresolved(standing.config)) return standing;
    return (await this.acquire(name, options)).master;
  }

  async #dial(of: () => Master, attempt: Attempt): Promise<Connection> {
    await Promise.resolve(); // a master dials while it is being made
    return this.#hops.dial(of(), attempt, this.#options.dial);
  }

  #create(config: HostConfig, start: MasterOptions["start"], own: { dial?: Dial; held?: Held } = {}): Master {
    const { clock, random, pid, log } = this.#options;
    const { held = null } = own;
    const master: Master = new Master({
      config,
      dial: own.dial ?? ((attempt) => this.#dial(() => master, attempt)),
      clock,
      random,
      held,
      outside: () => ({ pid: held?.pid ?? pid, ...this.#names.muxOf(master) }),
      log: log.child({ host: config.host }),
      start,
      onReady: (ready) => {
        this.#events.onReady(ready);
        this.#hops.readied(ready);
        for (const name of this.#names.of(ready)) void this.#placeMux(name); // it may have been in somebody's way
      },
      onChange: (changed) => this.#changed(changed),
    });
    this.#masters.set(config.identity, master);
    void master.ended.then(() => {
      this.#hops.leave(master);
      this.#names.forget(master);
      if (this.#masters.get(master.config.identity) === master) this.#masters.delete(master.config.identity);
    });
    return master;
  }
}
