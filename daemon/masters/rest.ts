// Whether a master is needed, and when one that nobody needs is to end its link: what `--on-demand` and `--idle` ask for.
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Carried } from "./carried.ts";

export interface RestOptions {
  carried: Carried;
  /** the names that are to be kept connected */
  keptBy: ReadonlySet<string>;
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
    const { carried, keptBy } = this.#options;
    return keptBy.size > 0 || !carried.isOnDemand || carried.connections > 0;
  }

  /** To be called when there is a link, and whenever what it is needed for has changed. */
  consider(): void {
    const { carried, clock, onRest } = this.#options;
    this.stop();
    const seconds = this.isWanted ? null : carried.idleSeconds;
    if (seconds !== null) this.#timer = clock.after(seconds * 1000, onRest);
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
