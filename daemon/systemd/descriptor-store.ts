// Listeners that outlive the daemon: systemd keeps them while it is restarted (file descriptor store, sd_pid_notify_with_fds(3)),
// so that whoever connects meanwhile waits instead of being refused.
import { closeSync } from "node:fs";
import type { Server } from "node:net";
import type { ListenerKeeper } from "../forwards/listener-keeper.ts";
import { descriptorOf } from "../../shared/native/load.ts";
import type { Notifier } from "./notifier.ts";

const PREFIX = "listen-";

/** What is kept is named by where it listens; colons and slashes are nothing for a FDNAME. */
const nameOf = (where: string): string => PREFIX + Buffer.from(where).toString("hex");
const whereOf = (name: string): string => Buffer.from(name.slice(PREFIX.length), "hex").toString();

/** A descriptor that systemd passed, by its name (LISTEN_FDNAMES). */
export interface Inherited {
  name: string;
  fd: number;
}

export class DescriptorStore implements ListenerKeeper {
  readonly #notifier: Notifier;
  /** from an earlier life, and not asked for yet */
  readonly #inherited: Map<string, number>;
  readonly #kept = new Set<string>();
  #isFrozen = false;

  constructor(notifier: Notifier, inherited: readonly Inherited[]) {
    this.#notifier = notifier;
    const listeners = inherited.filter(({ name }) => name.startsWith(PREFIX));
    this.#inherited = new Map(listeners.map(({ name, fd }) => [whereOf(name), fd]));
  }

  take(where: string): number | undefined {
    const fd = this.#inherited.get(where);
    this.#inherited.delete(where);
    return fd;
  }

  keep(where: string, server: Server): void {
    const fd = descriptorOf(server);
    if (fd === undefined || !this.#notifier.takesDescriptors) return;
    this.#notifier.tell({ FDSTORE: 1, FDNAME: nameOf(where), FDPOLL: 0 }, [fd]);
    this.#kept.add(where);
  }

  forget(where: string): boolean {
    if (this.#isFrozen && this.#kept.has(where)) return false;
    if (this.#kept.delete(where)) this.#remove(where);
    return true;
  }

  /** The daemon ends: what is wanted again stays with systemd, and nothing else does. */
  freeze(isWanted: (where: string) => boolean): void {
    for (const where of this.#kept)
      if (!isWanted(where)) {
        this.#kept.delete(where);
        this.#remove(where);
      }
    this.#isFrozen = true;
  }

  /** Closes what nobody asked for; not once the daemon ends, since its successor may ask. */
  discardUnclaimed(): void {
    if (this.#isFrozen) return;
    for (const [where, fd] of this.#inherited) {
      closeSync(fd);
      this.#remove(where);
    }
    this.#inherited.clear();
  }

  #remove(where: string): void {
    this.#notifier.tell({ FDSTOREREMOVE: 1, FDNAME: nameOf(where) });
  }
}
