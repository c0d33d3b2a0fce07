// Whether a master is needed, and when one that nobody needs is to end its link: what `--on-demand` and `--idle` ask for.
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Carried } from "./carried.ts";
import type { Held } from "./master-options.ts";

export interface RestOptions {
  carried: Carried;
  /** the names that are to be kept connected */
  keptBy: ReadonlySet<string>;
  /** whether a command that is under way needs it */
  isClaimed: () => boolean;
  /** whose it is alone: so many seconds without connections may end it, whatever it carries (ControlPersist) */
  held: Held | null;
  clock: Clock;
  /** called when the link has been idle for long enough */
  onRest: () => void;
}

export class Rest {
  readonly #options: RestOptions;
  #timer: Timer | undefined;

  constructor(options: RestOptions) {
    this.#options = options;
  }

  /** Whether the link is wanted whether or not anything goes over it. */
  get isWanted(): boolean {
    const { carried, keptBy, held } = this.#options;
    if (keptBy.size > 0 || carried.connections > 0) return true;
    return held === null ? !carried.isOnDemand : held.persistSeconds === null;
  }

  /** To be called when there is a link, and whenever what it is needed for has changed. */
  consider(): void {
    const { carried, clock, held, isClaimed, onRest } = this.#options;
    this.stop();
    const seconds = this.isWanted ? null : (held?.persistSeconds ?? carried.idleSeconds);
    if (seconds === null) return;
    this.#timer = clock.after(seconds * 1000, () => {
      // Nothing is told of connections that begin: one that is there now has us told of its end.
      if (this.isWanted) return;
      // One that is about to begin, as a channel that the server has still to open, has not.
      if (isClaimed()) this.consider();
      else onRest();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
