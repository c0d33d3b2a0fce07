// Desired state: what was asked for and is to outlive the daemon, read off the forwards and hosts that there are.
import { TundError } from "../../shared/errors.ts";
import type { Forward } from "../forwards/forward.ts";
import type { SavedForward, SavedHost } from "../saved-state.ts";
import type { Store } from "../store.ts";
import type { Master } from "./master.ts";
import type { Roster } from "./roster.ts";

export class Desired {
  readonly #roster: Roster;
  readonly #store: Pick<Store, "save">;
  /** hosts that were asked to be kept connected; those that the configuration names are not among them */
  readonly #kept = new Set<string>();

  constructor(roster: Roster, store: Pick<Store, "save">) {
    this.#roster = roster;
    this.#store = store;
  }

  /** Saves it as it is now. @throws TundError STATE_NOT_SAVED, SHUTTING_DOWN */
  async save(): Promise<void> {
    await this.#store.save(() => this.#hosts());
  }

  /** A host is to be kept connected from now on, and when the daemon comes back. @throws TundError STATE_NOT_SAVED */
  async keep(host: string, master: Master): Promise<void> {
    if (master.held !== null) return;
    const isNew = !this.#kept.has(host);
    const wasKept = master.keptBy.has(host);
    this.restoreKept(host, master);
    try {
      await this.save();
    } catch (error) {
      if (isNew) this.#kept.delete(host);
      if (!wasKept) master.keptBy.delete(host);
      throw error;
    }
  }

  /** As keep(), for what was saved before. */
  restoreKept(host: string, master: Master): void {
    this.#kept.add(host);
    master.keptBy.add(host);
  }

  /** These are not wanted any longer, and that is saved. @throws TundError STATE_NOT_SAVED, and all is as it was */
  async forget(forwards: readonly Forward[], hosts: Iterable<string> = []): Promise<void> {
    const dropped = forwards.filter(({ isPersistent }) => isPersistent);
    const unkept = [...hosts].filter((host) => this.#kept.has(host));
    if (dropped.length + unkept.length === 0) return;
    for (const forward of dropped) forward.isPersistent = false;
    for (const host of unkept) this.#kept.delete(host);
    try {
      await this.save();
    } catch (error) {
      for (const forward of dropped) forward.isPersistent = true;
      for (const host of unkept) this.#kept.add(host);
      throw error;
    }
  }

  #hosts(): SavedHost[] {
    // What the masters lose now is lost to the end of the daemon, not to anybody's wish.
    if (this.#roster.isClosing) throw new TundError("SHUTTING_DOWN", "tund is shutting down");
    return [...this.#roster.names.all].flatMap(([host, { master, options }]) => {
      if (master.held !== null) return []; // its holder makes it again
      const kept = this.#kept.has(host);
      const forwards = master.forwards.filter((forward) => forward.isPersistent && forward.host === host);
      if (!kept && forwards.length === 0) return [];
      return [{ host, kept, connection: options ?? null, forwards: forwards.map(savedForward) }];
    });
  }
}

const savedForward = ({ id, name, spec, wishes, allocatedPort }: Forward): SavedForward => ({
  id,
  name,
  kind: spec.kind,
  spec: spec.text,
  ...wishes,
  allocatedPort,
});
