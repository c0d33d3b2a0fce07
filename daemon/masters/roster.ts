// Which masters there are: by the names that users gave, and by what decides their connection.
import type { ConnectionOptions } from "../../shared/records.ts";
import { TundError } from "../../shared/errors.ts";
import type { Connection } from "../ssh/connection.ts";
import { clockWithin } from "../ssh/current-host.ts";
import { somebody } from "../ssh/dial-queue.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import type { Asking } from "../ssh/ssh-queries.ts";
import type { Hop } from "../ssh/way.ts";
import type { Wire } from "../ssh/wire.ts";
import { isUnresolved, unresolved } from "../ssh/unresolved.ts";
import type { Attempt } from "./attempts.ts";
import { Carried } from "./carried.ts";
import { Claims, type Wanted } from "./claims.ts";
import { Filing } from "./filing.ts";
import { Hops } from "./hops.ts";
import { Master } from "./master.ts";
import type { Held, MasterOptions } from "./master-options.ts";
import { MuxSockets } from "./mux-sockets.ts";
import { type Named, Names, type Said } from "./names.ts";
import { Renewal } from "./renewal.ts";
import { reservation } from "./reservation.ts";
import { Returning } from "./returning.ts";
import type { RosterEvents, RosterOptions } from "./roster-options.ts";
import { isOver } from "./state.ts";
import { suspicionOf, type Suspects } from "./suspects.ts";
import type { Patience } from "./waiters.ts";

// A dial that begins so soon after ssh was asked, for that very dial, does not ask again.
const FRESH_MS = 1000;

export class Roster {
  readonly #options: RosterOptions;
  readonly #events: RosterEvents;
  readonly #names: Names;
  readonly #filing = new Filing();
  /** what each carries */
  readonly #carried = new WeakMap<Master, Carried>();
  readonly #hops: Hops;
  readonly #renewal: Renewal;
  /** when ssh was asked for it, by the monotonic clock */
  readonly #resolvedAt = new WeakMap<HostConfig, number>();
  /** how hosts come back */
  readonly returning: Returning;
  /** what commands do with names */
  readonly claims = new Claims(this);
  #closing = false;

  constructor(options: RosterOptions, events: RosterEvents) {
    [this.#options, this.#events] = [options, events];
    this.#names = new Names(new MuxSockets(options.serveMux, options.log));
    this.returning = new Returning(options.clock, this.#names);
    this.#hops = new Hops({
      acquire: (hop, wanted) => this.#hop(hop, wanted),
      release: (hop) => this.release(hop),
      current: options.current,
      clock: options.clock,
    });
    this.#renewal = new Renewal({
      names: this.#names,
      resolve: (host, asked, asking) => this.resolve(host, asked, asking),
      isFresh: (config) =>
        options.clock.monotonic() <= (this.#resolvedAt.get(config) ?? -Infinity) + FRESH_MS,
      carriedBy: (master) => this.#carried.get(master) ?? new Carried(),
      masterFor: (config) => this.#filing.standing(config) ?? this.#create(config, "idle"),
      refile: (master, config) => this.#filing.refile(master, config),
      onChange: (master) => events.onChange(master),
    });
  }

  /** What a host's ssh_config means. @throws TundError HOST_CONFIG_FAILED, SSH_NOT_FOUND, UNSUPPORTED */
  async resolve(
    host: string,
    options: ConnectionOptions | undefined,
    asking: Asking = somebody,
  ): Promise<HostConfig> {
    const config = await this.#options.resolve(host, options, asking);
    this.#resolvedAt.set(config, this.#options.clock.monotonic());
    return config;
  }

  /** Hosts that are left alone until a person wants them. */
  get suspects(): Suspects {
    return this.#options.suspects;
  }

  /** A host whose place was reserved has its true master now. */
  onResolved(named: Named, reserved: Master): void {
    this.#events.onResolved(named, reserved);
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

  /** A way to a host for a look at it: through the masters that lead there, where there are any. @throws TundError why not */
  async wireFor(config: HostConfig, patience: Patience): Promise<Wire | undefined> {
    return config.way.kind === "jump" ? this.#hops.wireFor(config, config.way.hop, patience) : undefined;
  }

  /** Somebody who needed a master does not any more: one that nobody else needs ends, and so does such a name. */
  release(master: Master): void {
    if (isOver(master.state)) return;
    const names = this.#names.of(master);
    const isIdle = master.state === "idle";
    const isNeeded = names.some(({ intent, isNeeded: is }) => (isIdle ? intent.isClaimed : is));
    // Another command may be waiting for the next attempt.
    if (!master.isCarrying && !isNeeded && !master.isAwaited && !this.#hops.isHop(master))
      return master.exit();
    const isAlone = (host: string) => master.forwards.every((forward) => forward.host !== host);
    for (const named of names)
      if (!named.isNeeded && isAlone(named.host) && this.#names.of(master).length > 1) {
        this.#names.remove(named);
        this.#events.onChange(master);
      }
    return undefined;
  }

  /**
   * Makes a master that is its holder's alone: nobody shares it, and it ends with its link.
   * @throws TundError NAME_IN_USE when there is one of that name
   */
  hold(name: string, config: HostConfig, held: Held): Named {
    this.refuseWhenClosing();
    if (this.#names.get(name) !== undefined)
      throw new TundError("NAME_IN_USE", `there is a master at ${name} already`);
    const own = { ...config, host: name, identity: `held:${name}` };
    const master = this.#create(own, "connecting", { held });
    const named = this.name(name, master, { forwarding: config.forwarding, controlPath: null });
    named.intent.settle({ isAcknowledged: true }); // its holder ends it
    return named;
  }

  /** Keeps a place for a host, and asks ssh_config about it as often as it takes; nobody waits. Its true master follows. */
  reserve(host: string, options?: ConnectionOptions): Named {
    const config = unresolved(host);
    this.claims.isUsed = true;
    const { start, ...own } = reservation(host, {
      suspects: this.#options.suspects,
      master: () => master,
      acquire: (wanted) => this.claims.acquire(host, undefined, wanted),
    });
    const master: Master = this.#create(config, start, own);
    const named = this.name(host, master, config);
    named.intent.settle({ options, isAcknowledged: true });
    return named;
  }

  /** Gives a name its master. @throws TundError MASTER_CLOSING */
  name(host: string, master: Master, config: Said): Named {
    const isNew = !master.names.has(host);
    const named = this.#names.put(host, master, config);
    if (isNew) this.#changed(master);
    return named;
  }

  #changed(master: Master): void {
    const { state } = master;
    this.returning.changed(master);
    if (state === "idle") this.#hops.leave(master);
    if (isOver(state)) this.#names.releaseMux(master);
    // What ssh promises of its own masters. Not in the middle of a change.
    else if (master.held !== null && !["connecting", "ready"].includes(state))
      queueMicrotask(() => master.exit());
    // One that kept a place for another has nothing more to say once that one is there.
    if (this.#names.of(master).length > 0) this.#events.onChange(master);
    if (state === "closed") this.#forget(master);
  }

  // At once: a command that comes in the meantime would find a master that has ended.
  #forget(master: Master): void {
    this.#names.forget(master);
    this.#filing.remove(master);
    this.#hops.leave(master);
  }

  /** Has the mux socket of a host be where it is to be. Settles when it is, or is known not to be. */
  async placeMux(host: string): Promise<void> {
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

  /** @throws TundError SHUTTING_DOWN */
  refuseWhenClosing(): void {
    if (this.#closing) throw new TundError("SHUTTING_DOWN", "tund is shutting down");
  }

  /** A master of that name, or for what this leads to, that is about to end with nothing on it. */
  going(host: string, config: HostConfig): Master | undefined {
    return [this.#names.get(host)?.master, this.#filing.get(config)].find(isGoing);
  }

  /** The master for what this leads to; a new one if there is none. */
  masterFor(config: HostConfig, start: "connecting" | "idle"): Master {
    return this.#filing.get(config) ?? this.#create(config, start);
  }

  /** Has a master stand for what this leads to, from its next dial on; false, and it does not, where another one does. */
  refile(master: Master, config: HostConfig): boolean {
    return this.#filing.refile(master, config);
  }

  /** As refile(), from now on: if it dials now, it does so anew. */
  rekey(master: Master, config: HostConfig): boolean {
    const isDone = this.refile(master, config);
    if (isDone) master.reconfigure(config);
    return isDone;
  }

  /** Has a name that has no link stand for what it means now, with its forwards. @throws TundError MASTER_CLOSING */
  move(named: Named, config: HostConfig): void {
    this.#renewal.move(named, config);
  }

  // One that leads to others is used as it is; whatever options it was connected with.
  async #hop({ name, options }: Hop, wanted: Wanted): Promise<Master> {
    const standing = this.#names.get(name);
    if (standing !== undefined && !isUnresolved(standing.master.config) && !isGoing(standing.master)) {
      this.claims.claim(standing, wanted.transaction);
      return standing.master;
    }
    const suspicion = suspicionOf(name, this.#options.suspects);
    if (suspicion !== null) throw suspicion;
    return (await this.claims.acquire(name, options, { ...wanted, isHop: true })).master;
  }

  async #dial(of: () => Master, attempt: Attempt): Promise<Connection> {
    await Promise.resolve(); // a master dials while it is being made
    const master = of();
    const config = await this.#renewal.configFor(master, attempt.signal);
    return this.#hops.dial(master, { ...attempt, config }, this.#options.dial);
  }

  #create(
    config: HostConfig,
    start: MasterOptions["start"],
    own: Partial<Pick<MasterOptions, "dial" | "held" | "failure">> = {},
  ): Master {
    const { random, pid, log, current } = this.#options;
    const { held = null, failure = null } = own;
    const names = new Set<string>();
    const carried = new Carried();
    const master: Master = new Master({
      config,
      carried,
      names,
      failure,
      follow: (run) => current.follow(names, run),
      dial: own.dial ?? ((attempt) => this.#dial(() => master, attempt)),
      clock: clockWithin(this.#options.clock, (run) => current.run(names, run)),
      random,
      goodLogins: this.returning.goodLogins,
      isWayOpen: () => this.#hops.isOpen(master),
      held,
      isClaimed: () => this.#names.of(master).some(({ intent }) => intent.isClaimed),
      outside: () => ({ pid: held?.pid ?? pid, ...this.#names.toldOf(master) }),
      log: log.child({ host: config.host }),
      start,
      onReady: (ready) => {
        this.#events.onReady(ready);
        this.#hops.readied(ready);
        for (const { host } of this.#names.of(ready)) void this.placeMux(host); // it may have been in somebody's way
      },
      onAwaited: () => this.#options.onAwaited?.(),
      onChange: (changed) => this.#changed(changed),
    });
    this.#filing.add(master);
    this.#carried.set(master, carried);
    return master;
  }
}

// About to end, with nothing that it waits for.
const isGoing = (one?: Master): boolean => one !== undefined && isOver(one.state) && !one.isCarrying;
