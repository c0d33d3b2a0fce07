// How hosts come back: who has been let in before, and who is woken when another one is back.
import type { Clock } from "../../shared/clock.ts";
import { GoodLogins } from "./good-logins.ts";
import type { Master } from "./master.ts";
import type { Names } from "./names.ts";
import { Wake } from "./wake.ts";

export class Returning {
  readonly goodLogins = new GoodLogins();
  readonly #wake: Wake;
  readonly #names: Pick<Names, "of">;

  constructor(clock: Clock, names: Pick<Names, "of">) {
    this.#wake = new Wake(clock);
    this.#names = names;
  }

  /** To be called when a master may have changed its state, before its names are forgotten with it. */
  changed(master: Master): void {
    this.#wake.changed(master);
    if (master.state !== "closed") return;
    for (const { host } of this.#names.of(master)) this.goodLogins.forget(host);
  }
}
