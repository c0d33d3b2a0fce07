// Whose turn it is to do what costs: people first, so many at once, and nobody is held up by one that only waits.
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Turns } from "../turns.ts";

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
  /** each begins in one of its own: to start a program, say, takes some milliseconds, and many may be due at once */
  slices: Pick<Turns, "next">;
  clock: Clock;
}

interface Waiting {
  /** the how-manieth it is to wait */
  place: number;
  wish: Wish;
  go: () => void;
}

const nothing = (): void => undefined;

export class DialQueue {
  readonly #options: DialQueueOptions;
  /** by place; there are none before `#head`, and those up to `#tail` that are not there have left */
  readonly #queue = new Map<number, Waiting>();
  #head = 0;
  #tail = 0;
  /** those of the queue for whom a person waits, as far as is known: one may have gone since */
  readonly #awaited = new Set<Waiting>();
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
    const turn = this.#turn();
    await this.#options.slices.next();
    if (wish.signal?.aborted === true) turn.end();
    wish.signal?.throwIfAborted();
    return turn;
  }

  /** To be called when a person has begun to wait: what they wait for may go at once. Looks at all who wait. */
  reconsider(): void {
    for (const waiting of this.#queue.values()) if (waiting.wish.isAwaited()) this.#awaited.add(waiting);
    this.#advance();
  }

  // As long as there is room. Whose turn it is, is known without looking at the others: there may be thousands.
  #advance(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#remove(next);
      next.go();
    }
  }

  #next(): Waiting | undefined {
    if (this.#queue.size === 0 || !this.#hasRoom(true)) return undefined;
    for (const waiting of this.#awaited)
      if (waiting.wish.isAwaited()) return waiting;
      else this.#awaited.delete(waiting);
    return this.#hasRoom(false) ? this.#first() : undefined;
  }

  #first(): Waiting | undefined {
    while (this.#head < this.#tail && !this.#queue.has(this.#head)) this.#head++;
    return this.#queue.get(this.#head);
  }

  #remove(waiting: Waiting): void {
    this.#queue.delete(waiting.place);
    this.#awaited.delete(waiting);
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
        this.#remove(waiting);
        reject(signal?.reason as Error);
      };
      const go = () => {
        signal?.removeEventListener("abort", leave);
        this.#busy++; // before its owner hears of it, so that nobody else takes it meanwhile
        resolve();
      };
      const waiting = { place: this.#tail++, wish, go };
      this.#queue.set(waiting.place, waiting);
      if (wish.isAwaited()) this.#awaited.add(waiting);
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
      this.#advance();
    };
    const timer: Timer = clock.after(slowMs, () => leave("slow"));
    const end = () => {
      timer.cancel();
      leave("over");
    };
    return { end, passed };
  }
}
