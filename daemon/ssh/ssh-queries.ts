// Asking ssh what ssh_config means, by many at once: each has its turn, people first, and the same question is asked once.
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import { askSsh } from "./ask-ssh.ts";
import type { Children } from "./children.ts";
import { DialQueue, type Wish } from "./dial-queue.ts";
import type { Turns } from "../turns.ts";

// A run takes some milliseconds of a processor, but for Match exec and canonicalization, which may wait for the network: one
// that takes longer than a second lets the next one go, up to so many programs.
const MOST_AT_ONCE = 6;
const RESERVED = 2;
const SLOW_MS = 1000;
const MOST_PROGRAMS = 16;
const RESERVED_PROGRAMS = 4;

export class SshQueries {
  readonly #children: Children;
  readonly #clock: Clock;
  readonly #turns: DialQueue;
  /** questions that wait for their turn */
  readonly #waiting = new Map<string, Query>();
  /** questions that are being answered, until they are slow */
  readonly #passing = new Map<string, Promise<void>>();
  readonly #queries = new Set<Query>();

  constructor({ children, slices, clock }: { children: Children; slices: Turns; clock: Clock }) {
    this.#children = children;
    this.#clock = clock;
    this.#turns = new DialQueue({
      most: MOST_AT_ONCE,
      reserved: RESERVED,
      slowMs: SLOW_MS,
      withSlow: { most: MOST_PROGRAMS, reserved: RESERVED_PROGRAMS },
      slices,
      clock,
    });
  }

  /**
   * What `ssh -G` prints for these arguments. Those who ask the same share one run, as long as that has not begun: what
   * ssh_config says when they ask is what counts.
   * @throws TundError HOST_CONFIG_FAILED, SSH_NOT_FOUND; what `signal` was aborted with
   */
  ask(args: readonly string[], wish: Wish): Promise<string> {
    const key = JSON.stringify(args);
    const standing = this.#waiting.get(key);
    if (standing !== undefined) {
      const answer = standing.join(wish);
      if (wish.isAwaited()) this.#turns.reconsider();
      return answer;
    }
    const query = new Query(() => this.#forget(key, query));
    this.#waiting.set(key, query);
    const answer = query.join(wish);
    query.settleWith(this.#run(key, args, query));
    return answer;
  }

  /** To be called when a person has begun to wait for something. */
  reconsider(): void {
    this.#turns.reconsider();
  }

  /** Ends all of it: the daemon ends. */
  end(): void {
    for (const query of this.#queries) query.abort(new TundError("SHUTTING_DOWN", "tund is shutting down"));
  }

  async #run(key: string, args: readonly string[], query: Query): Promise<string> {
    const { signal, isAwaited } = query;
    this.#queries.add(query);
    try {
      // The same question once at a time, unless it takes long.
      await this.#passing.get(key);
      const turn = await this.#turns.take({ isAwaited, signal });
      this.#forget(key, query);
      this.#passing.set(key, turn.passed);
      void turn.passed.then(() => {
        if (this.#passing.get(key) === turn.passed) this.#passing.delete(key);
      });
      return await askSsh(args, { children: this.#children, clock: this.#clock, signal, onGone: turn.end });
    } finally {
      this.#forget(key, query);
      this.#queries.delete(query);
    }
  }

  #forget(key: string, query: Query): void {
    if (this.#waiting.get(key) === query) this.#waiting.delete(key);
  }
}

/** One question, of all who ask it. */
class Query {
  readonly #wishes = new Set<Wish>();
  readonly #unwanted = new AbortController();
  readonly #onUnwanted: () => void;
  readonly #answer: Promise<string>;
  #settle: (answer: Promise<string>) => void = () => undefined;

  constructor(onUnwanted: () => void) {
    this.#onUnwanted = onUnwanted;
    this.#answer = new Promise((resolve) => (this.#settle = resolve));
    this.#answer.catch(() => undefined); // whoever asked hears it; when nobody asks any longer, nobody does
  }

  /** aborted when nobody asks any longer */
  get signal(): AbortSignal {
    return this.#unwanted.signal;
  }

  readonly isAwaited = (): boolean => {
    for (const wish of this.#wishes) if (wish.isAwaited()) return true;
    return false;
  };

  settleWith(answer: Promise<string>): void {
    this.#settle(answer);
  }

  /** Settles with the answer, or when it is not wanted any longer. */
  join(wish: Wish): Promise<string> {
    const { signal } = wish;
    if (signal?.aborted === true) {
      this.#leave(wish);
      return Promise.reject(signal.reason as Error);
    }
    this.#wishes.add(wish);
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#leave(wish);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#answer.then(resolve, reject).finally(() => signal?.removeEventListener("abort", abort));
    });
  }

  abort(why: unknown): void {
    this.#onUnwanted();
    this.#unwanted.abort(why);
  }

  #leave(wish: Wish): void {
    this.#wishes.delete(wish);
    if (this.#wishes.size === 0) this.abort(wish.signal?.reason);
  }
}
