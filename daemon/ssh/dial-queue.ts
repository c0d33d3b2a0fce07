// Whose turn it is to do what costs: people first, so many at once, and nobody is held up by one that only waits.
import type { Clock, Timer } from "../../shared/clock.ts";

/** Who wants something that may have to wait for its turn. */
export interface Wish {
  /** whether a person waits for it, now: it goes before what is done in the background */
  isAwaited: () => boolean;
  /** aborted when it is not wanted any longer */
  signal?: AbortSignal | undefined;
}

/** A person who waits as long as it takes. */
export const somebody: Wish = { isAwaited: () => true };

/** A turn that has come. */
export interface Turn {
  /** Gives it back; a second time is no error. */
  end: () => void;
  /** resolves when the turn counts no longer: it has ended, or is slow */
  passed: Promise<void>;
}

export interface DialQueueOptions {
  /** how many there are at once */
  most: number;
  /** how many of these are kept for people */
  reserved: number;
  /** after so many milliseconds a turn counts no longer: whoever has it waits for something, and costs little */
  slowMs: number;
  /** how many there may be with the slow ones, and how many of these are kept for people; unbounded if not given */
  withSlow?: { most: number; reserved: number };
  clock: Clock;
}

interface Waiting {
  wish: Wish;
  go: () => void;
}

const nothing = (): void => undefined;

export class DialQueue {
  readonly #options: DialQueueOptions;
  readonly #queue = new Set<Waiting>();
  #busy = 0;
  #slow = 0;

  constructor(options: DialQueueOptions) {
    this.#options = options;
  }

  /**
   * Waits for a turn: people first, the others in the order in which they came. Whoever takes one ends it.
   * @throws what `signal` was aborted with: nothing is held then
   */
  async take(wish: Wish): Promise<Turn> {
    wish.signal?.throwIfAborted();
    if (this.#hasRoom(wish.isAwaited())) this.#busy++;
    else await this.#queued(wish);
    return this.#turn();
  }

  /** To be called when somebody has begun to wait: what they wait for may go at once. */
  reconsider(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#queue.delete(next);
      next.go();
    }
  }

  #next(): Waiting | undefined {
    if (this.#queue.size === 0 || !this.#hasRoom(true)) return undefined;
    let first: Waiting | undefined;
    for (const waiting of this.#queue) {
      if (waiting.wish.isAwaited()) return waiting;
      first ??= waiting;
    }
    return this.#hasRoom(false) ? first : undefined;
  }

  #hasRoom(isAwaited: boolean): boolean {
    const { most, reserved, withSlow } = this.#options;
    const isFree = (taken: number, all: number, kept: number) => taken < (isAwaited ? all : all - kept);
    if (!isFree(this.#busy, most, reserved)) return false;
    return withSlow === undefined || isFree(this.#busy + this.#slow, withSlow.most, withSlow.reserved);
  }

  #queued(wish: Wish): Promise<void> {
    const { signal } = wish;
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#queue.delete(waiting);
        reject(signal?.reason as Error);
      };
      const go = () => {
        signal?.removeEventListener("abort", leave);
        this.#busy++; // before its owner hears of it, so that nobody else takes it meanwhile
        resolve();
      };
      const waiting = { wish, go };
      this.#queue.add(waiting);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  #turn(): Turn {
    const { clock, slowMs } = this.#options;
    let state: "busy" | "slow" | "over" = "busy";
    let pass = nothing;
    const passed = new Promise<void>((resolve) => (pass = resolve));
    const leave = (to: "slow" | "over") => {
      if (state === "over") return;
      if (state === "busy") this.#busy--;
      else this.#slow--;
      if (to === "slow") this.#slow++;
      state = to;
      pass();
      this.reconsider();
    };
    const timer: Timer = clock.after(slowMs, () => leave("slow"));
    const end = () => {
      timer.cancel();
      leave("over");
    };
    return { end, passed };
  }
}
