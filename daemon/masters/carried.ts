// What a master carries: its forwards, and whatever else has connections over it.
import type { TundError } from "../../shared/errors.ts";
import type { Forward } from "../forwards/forward.ts";
import type { Master } from "./master.ts";

/** What has connections: a forward, or a caller's own stdin and stdout. */
export interface Passenger {
  readonly connections: number;
  dropConnections(): void;
}

/** Told of the master that carries a forward from now on. */
export type Follow = (to: Master) => void;

export class Carried {
  readonly #forwards = new Map<string, Forward>();
  /** by the forward's id */
  readonly #follow = new Map<string, Follow>();
  /** not forwards, or no more: they are here only as long as they have connections */
  readonly #passengers = new Set<Passenger>();

  /** The forwards, in the order in which they were made. */
  get forwards(): Forward[] {
    return [...this.#forwards.values()];
  }

  /** Whether it serves nothing but forwards whose first connection is what needs the link. */
  get isOnDemand(): boolean {
    return this.#forwards.size > 0 && this.forwards.every(({ wishes }) => wishes.onDemand);
  }

  /** After so long without connections the link is to be ended; null for never. */
  get idleSeconds(): number | null {
    const seconds = this.forwards.map(({ wishes }) => wishes.idleSeconds);
    return seconds.some((each) => each === null) ? null : Math.max(...seconds.map(Number));
  }

  /** Connections, those of cancelled forwards included. */
  get connections(): number {
    let count = 0;
    for (const each of this.#all()) count += each.connections;
    return count;
  }

  adopt(forward: Forward, follow: Follow): void {
    this.#forwards.set(forward.id, forward);
    this.#follow.set(forward.id, follow);
  }

  /**
   * Gives the forwards of a host to another master, as they are: what listens here goes on listening, and who waits goes on
   * waiting. There is no link, so that nothing of them is on it. @throws TundError MASTER_CLOSING of the other one
   */
  handOver(host: string, to: Master): Forward[] {
    const handed = this.forwards.filter((forward) => forward.host === host);
    for (const forward of handed) {
      const follow = this.#follow.get(forward.id) ?? (() => undefined);
      to.adopt(forward, follow);
      this.#drop(forward);
      follow(to);
    }
    return handed;
  }

  /** Takes something in for as long as it has connections. */
  board(passenger: Passenger): void {
    this.#passengers.add(passenger);
  }

  /** Forgets a forward, which accepts no more; its established connections live on. Settles when its listener is gone. */
  async cancel(forward: Forward): Promise<void> {
    this.#drop(forward);
    if (forward.connections > 0) this.#passengers.add(forward);
    await forward.stopAccepting();
  }

  /** Cancels every forward. Not awaited: what the server is slow to take back goes with the link. */
  cancelAll(): void {
    for (const forward of this.forwards) void this.cancel(forward);
  }

  /** Forgets who has no connections left. */
  sweep(): void {
    for (const passenger of this.#passengers)
      if (passenger.connections === 0) this.#passengers.delete(passenger);
  }

  /** Ends every connection. */
  drop(): void {
    for (const each of this.#all()) each.dropConnections();
  }

  /** The link is lost: connections end, listeners on the server are gone. */
  linkLost(): void {
    for (const forward of this.#forwards.values()) forward.linkLost();
    for (const passenger of this.#passengers) passenger.dropConnections();
  }

  /** The link will not come back by itself. */
  linkGone(why: TundError): void {
    for (const forward of this.#forwards.values()) forward.linkGone(why);
  }

  /** There is a new link: what the server listened on is asked for again. */
  linkReady(): void {
    for (const forward of this.#forwards.values()) forward.linkReady();
  }

  #drop({ id }: Forward): void {
    this.#forwards.delete(id);
    this.#follow.delete(id);
  }

  #all(): Passenger[] {
    return [...this.#forwards.values(), ...this.#passengers];
  }
}
