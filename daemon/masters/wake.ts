// When a host is back, others may be: whatever was in their way (a gateway, a hop, this machine's own network) may be gone.
import type { Clock } from "../../shared/clock.ts";
import type { Master } from "./master.ts";

// A share at a time: what is between us and them has just come back.
const SHARE = 4;
const BETWEEN_SHARES_MS = 250;
// One that was woken in vain is not woken again so soon: hosts that come and go must not have the others dialled without end.
const FIRST_REST_MS = 10_000;
const LAST_REST_MS = 10 * 60_000;

type Waking = Pick<Master, "state" | "retry">;

/** One that waits for its link. */
interface Sleeper {
  /** how many times it was woken in vain */
  inVain: number;
  /** by the monotonic clock */
  restsUntil: number;
  isWoken: boolean;
}

export class Wake {
  readonly #clock: Clock;
  readonly #sleepers = new Map<Waking, Sleeper>();
  readonly #due = new Set<Waking>();
  /** whether a share is about to be woken */
  #isWaking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be called when a master may have changed its state. */
  changed(master: Waking): void {
    const sleeper = this.#sleepers.get(master);
    const { state } = master;
    if (state === "connecting") return;
    if (state !== "waiting") {
      this.#forget(master);
      if (state === "ready" && sleeper !== undefined) this.#wakeOthers();
    } else if (sleeper === undefined)
      this.#sleepers.set(master, { inVain: 0, restsUntil: 0, isWoken: false });
    else this.#restAgain(sleeper);
  }

  #restAgain(sleeper: Sleeper): void {
    if (!sleeper.isWoken) return;
    const restMs = Math.min(LAST_REST_MS, FIRST_REST_MS * 2 ** Math.min(sleeper.inVain, 16));
    sleeper.inVain++;
    sleeper.restsUntil = this.#clock.monotonic() + restMs;
    sleeper.isWoken = false;
  }

  #forget(master: Waking): void {
    this.#sleepers.delete(master);
    this.#due.delete(master);
  }

  #wakeOthers(): void {
    const now = this.#clock.monotonic();
    for (const [master, { restsUntil }] of this.#sleepers)
      if (master.state === "waiting" && restsUntil <= now) this.#due.add(master);
    // Not in the middle of a change.
    if (this.#due.size > 0) this.#wakeIn(0);
  }

  #wakeIn(ms: number): void {
    if (this.#isWaking) return;
    this.#isWaking = true;
    this.#clock.after(ms, () => this.#wakeShare());
  }

  #wakeShare(): void {
    this.#isWaking = false;
    for (const master of [...this.#due].slice(0, SHARE)) {
      this.#due.delete(master);
      const sleeper = this.#sleepers.get(master);
      if (sleeper === undefined || master.state !== "waiting") continue;
      sleeper.isWoken = true;
      master.retry();
    }
    if (this.#due.size > 0) this.#wakeIn(BETWEEN_SHARES_MS);
  }
}
