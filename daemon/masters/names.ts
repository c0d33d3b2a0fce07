// The names that users gave: which master each stands for, how to connect it, and where ssh can drive it.
import { TundError } from "../../shared/errors.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import type { ForwardingConfig } from "../ssh/forwarding-config.ts";
import type { Master } from "./master.ts";
import type { MuxSockets } from "./mux-sockets.ts";
import { isOver } from "./state.ts";

/** A host as its user names it: the master that it stands for, how to connect it, and what ssh_config says of its forwards. */
export interface Named {
  master: Master;
  options: ConnectionOptions | undefined;
  forwarding: ForwardingConfig;
  /** where ssh itself is to be able to drive the master */
  controlPath: string | null;
}

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

  /** The master that a name stands for. @throws TundError NOT_FOUND */
  master(host: string): Master {
    const found = this.#names.get(host);
    if (found !== undefined) return found.master;
    const known = [...this.#names.keys()].join(", ") || "none";
    throw new TundError("NOT_FOUND", `no master for ${host} (there are: ${known})`);
  }

  /** The names that stand for a master now. */
  of(master: Master): string[] {
    return [...master.names].filter((name) => this.#names.get(name)?.master === master);
  }

  /** Gives a name its master. Tells whether that is new to the master. */
  set(host: string, named: Named): boolean {
    const isNew = !named.master.names.has(host);
    named.master.names.add(host);
    this.#names.set(host, named);
    return isNew;
  }

  /** A master has ended: nothing has its names any more. */
  forget(master: Master): void {
    for (const name of this.of(master)) this.#names.delete(name);
  }

  /** Has the socket of a host be where it is to be. Settles when it is, or is known not to be. */
  async placeMux(host: string): Promise<void> {
    const { master, controlPath } = this.#names.get(host) ?? {};
    if (master === undefined || controlPath === undefined || isOver(master.state)) return;
    await this.#mux.place(host, controlPath, (other) => this.areOne(host, other));
  }

  /** As placeMux(), at a path that is demanded. @throws TundError why not there */
  async demandMux(host: string, path: string): Promise<void> {
    const named = this.#names.get(host);
    if (named === undefined) return;
    this.#names.set(host, { ...named, controlPath: path });
    await this.placeMux(host);
    this.refuseMuxTrouble(host);
  }

  /** @throws TundError why a host has no socket where it is to have one */
  refuseMuxTrouble(host: string): void {
    const trouble = this.#mux.troubleOf(host);
    if (trouble !== undefined) throw trouble;
  }

  /** Takes a master's sockets away: they are gone when this returns. */
  releaseMux(master: Master): void {
    for (const name of this.of(master)) this.#mux.release(name);
  }

  /** Where a master can be driven, and why some of its names have no socket. */
  muxOf(master: Master): { muxSocket: string | null; warnings: string[] } {
    return this.#mux.toldOf(this.of(master));
  }
}
