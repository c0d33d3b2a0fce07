// The names that users gave: which master each stands for, how to connect it, and where ssh can drive it.
import { TundError } from "../../shared/errors.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import { Intent } from "../forwards/intent.ts";
import type { CallerEnvironment } from "../ssh/caller-environment.ts";
import type { ForwardingConfig } from "../ssh/forwarding-config.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import { environmentWarnings } from "./environment-warnings.ts";
import type { Master } from "./master.ts";
import type { MuxSockets } from "./mux-sockets.ts";
import { isOver } from "./state.ts";

/** What is wanted of a name. */
export interface NameWishes {
  /** how to connect it */
  options: ConnectionOptions | undefined;
  /** the environment of whoever asked for it last; null: tund's own */
  environment: CallerEnvironment | null;
  /** it was asked for with another one than tund's own, which ended with an earlier tund */
  isEnvironmentLost: boolean;
  /** what ssh_config says of its forwards, with those options */
  forwarding: ForwardingConfig;
  /** where ssh itself is to be able to drive the master */
  controlPath: string | null;
  /** it was asked to be kept connected; the configuration's wish is `isConfigured` */
  isKept: boolean;
  isConfigured: boolean;
  /** somebody was told that it is there */
  isAcknowledged: boolean;
}

/** A host as its user names it: the master that it stands for, and what is wanted of it. */
export class Named {
  readonly host: string;
  /** with the master's end it goes, and all that commands wanted of it */
  readonly intent: Intent<NameWishes>;
  master: Master;

  constructor(host: string, master: Master, { forwarding, controlPath }: Said) {
    this.host = host;
    this.master = master;
    const nothing = { options: undefined, isKept: false, isConfigured: false, isAcknowledged: false };
    const environment = { environment: null, isEnvironmentLost: false };
    this.intent = new Intent<NameWishes>({ ...nothing, ...environment, forwarding, controlPath });
  }

  get forwarding(): ForwardingConfig {
    return this.intent.value.forwarding;
  }

  get options(): ConnectionOptions | undefined {
    return this.intent.value.options;
  }

  get environment(): CallerEnvironment | null {
    return this.intent.value.environment;
  }

  /** Whether somebody was told of it, or waits for it. */
  get isNeeded(): boolean {
    return this.intent.value.isAcknowledged || this.intent.isClaimed;
  }

  /** To be called when it is to be kept, or not any more: its master goes by that. */
  keepMaster(): void {
    const { isKept, isConfigured } = this.intent.value;
    if (isKept || isConfigured) this.master.keptBy.add(this.host);
    else this.master.keptBy.delete(this.host);
  }
}

/** What ssh_config says of a name, beside its connection. */
export type Said = Pick<HostConfig, "forwarding" | "controlPath">;

export class Names {
  readonly #mux: MuxSockets;
  readonly #names = new Map<string, Named>();

  constructor(mux: MuxSockets) {
    this.#mux = mux;
  }

  get all(): ReadonlyMap<string, Named> {
    return this.#names;
  }

  /** In the order in which their first names came. */
  get masters(): Master[] {
    return [...new Set([...this.#names.values()].map(({ master }) => master))];
  }

  get(host: string): Named | undefined {
    return this.#names.get(host);
  }

  /** Whether two names stand for one master. */
  areOne(one: string, other: string): boolean {
    if (one === other) return true;
    const master = this.#names.get(one)?.master;
    return master !== undefined && master === this.#names.get(other)?.master;
  }

  /** A name that there is. @throws TundError NOT_FOUND */
  known(host: string): Named {
    const found = this.#names.get(host);
    if (found !== undefined) return found;
    const known = [...this.#names.keys()].join(", ") || "none";
    throw new TundError("NOT_FOUND", `no master for ${host} (there are: ${known})`);
  }

  /** The master that a name stands for. @throws TundError NOT_FOUND */
  master(host: string): Master {
    return this.known(host).master;
  }

  /** The names that stand for a master now. */
  of(master: Master): Named[] {
    return [...master.names]
      .map((name) => this.#names.get(name))
      .filter((named) => named !== undefined)
      .filter((named) => named.master === master);
  }

  /** Whether a name is there still, and its master takes something new. @throws TundError MASTER_CLOSING */
  confirm(named: Named): void {
    named.master.refuseWhenOver();
    if (this.#names.get(named.host) === named) return;
    throw new TundError("MASTER_CLOSING", `${named.host} was given up meanwhile: ask again`);
  }

  /** Gives a name its master, one that is not about to end. @throws TundError MASTER_CLOSING */
  put(host: string, master: Master, said: Said): Named {
    master.refuseWhenOver(); // nothing would ever take the name from it again
    const named = this.#names.get(host) ?? new Named(host, master, said);
    named.master = master;
    master.names.add(host);
    this.#names.set(host, named);
    return named;
  }

  /** A name stands for another master from now on. @throws TundError MASTER_CLOSING of that one */
  move(named: Named, to: Master): void {
    const { host, master: from } = named;
    to.refuseWhenOver();
    this.#mux.release(host);
    if (from.names.size > 1) from.names.delete(host); // by the last of them its end is told
    from.keptBy.delete(host);
    named.master = to;
    to.names.add(host);
    named.keepMaster();
  }

  /** A master has ended: nothing has its names any more. */
  forget(master: Master): void {
    for (const { host } of this.of(master)) this.#names.delete(host);
  }

  /** A name is not needed, and its master has others. */
  remove({ host, master }: Named): void {
    this.#mux.release(host);
    this.#names.delete(host);
    master.names.delete(host);
  }

  /** Has the socket of a host be where it is to be. Settles when it is, or is known not to be. */
  async placeMux(host: string): Promise<void> {
    const named = this.#names.get(host);
    if (named === undefined || isOver(named.master.state)) return;
    await this.#mux.place(host, named.intent.value.controlPath, (other) => this.areOne(host, other));
  }

  /** As placeMux(), at a path that is demanded. @throws TundError why not there */
  async demandMux(named: Named, path: string): Promise<void> {
    named.intent.settle({ controlPath: path });
    await this.placeMux(named.host);
    this.refuseMuxTrouble(named.host);
  }

  /** @throws TundError why a host has no socket where it is to have one */
  refuseMuxTrouble(host: string): void {
    const trouble = this.#mux.troubleOf(host);
    if (trouble !== undefined) throw trouble;
  }

  /** Takes a master's sockets away: they are gone when this returns. */
  releaseMux(master: Master): void {
    for (const { host } of this.of(master)) this.#mux.release(host);
  }

  /** Whether a name would have another environment than tund's own, if it could be kept: where programs see it. */
  hasEnvironment({ master, intent }: Named): boolean {
    const { environment, isEnvironmentLost } = intent.value;
    if (isEnvironmentLost || environment === null) return isEnvironmentLost;
    const hops = master.via.flatMap((host) => this.#names.get(host)?.master ?? []);
    return [master, ...hops].some(({ config }) => config.runsPrograms);
  }

  /** Where a master can be driven, and what its names have to do without. */
  toldOf(master: Master): { muxSocket: string | null; warnings: string[] } {
    const names = this.of(master);
    const { muxSocket, warnings } = this.#mux.toldOf(names.map(({ host }) => host));
    return {
      muxSocket,
      warnings: [
        ...warnings,
        ...names.flatMap(({ host, intent }) => environmentWarnings(host, intent.value)),
      ],
    };
  }
}
