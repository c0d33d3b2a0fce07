// Which master stands for which connection: two names of one connection share its master.
import type { HostConfig } from "../ssh/host-config.ts";
import type { Master } from "./master.ts";
import { isOver } from "./state.ts";

export class Filing {
  /** by the identity of what they dial with */
  readonly #masters = new Map<string, Master>();

  /** The master for what this leads to, whether or not it takes something new. */
  get({ identity }: HostConfig): Master | undefined {
    return this.#masters.get(identity);
  }

  /** The master for what this leads to, if there is one that takes something new. */
  standing(config: HostConfig): Master | undefined {
    const master = this.get(config);
    return master !== undefined && !isOver(master.state) ? master : undefined;
  }

  /** A new master, in the place of one that is about to end. */
  add(master: Master): void {
    this.#masters.set(master.config.identity, master);
  }

  /** Has a master stand for what this leads to, from its next dial on; false, and it does not, where another one does. */
  refile(master: Master, config: HostConfig): boolean {
    if ((this.standing(config) ?? master) !== master) return false;
    this.remove(master);
    master.config = config;
    this.add(master);
    return true;
  }

  /** A master has ended, or stands for something else. */
  remove(master: Master): void {
    if (this.get(master.config) === master) this.#masters.delete(master.config.identity);
  }
}
