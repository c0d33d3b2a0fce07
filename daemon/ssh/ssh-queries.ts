// Asking ssh what ssh_config means, by many at once: each has its turn, people first, and the same question is asked once.
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import type { Files } from "../files.ts";
import { askSsh, type SshAnswer } from "./ask-ssh.ts";
import type { CallerEnvironment } from "./caller-environment.ts";
import type { Children } from "./children.ts";
import { DialQueue, type Wish } from "./dial-queue.ts";
import { Recollection } from "./recollection.ts";
import type { Turns } from "../turns.ts";

// A run takes some milliseconds of a processor, but for Match exec and canonicalization, which may wait for the network: one
// that takes longer than a second lets the next one go, up to so many programs.
const MOST_AT_ONCE = 6;
const RESERVED = 2;
const SLOW_MS = 1000;
const MOST_PROGRAMS = 16;
const RESERVED_PROGRAMS = 4;

interface SshQueriesOptions {
  children: Children;
  files: Files;
  slices: Turns;
  /** the home directory of the user whose ssh_config it is */
  home: string;
  clock: Clock;
}

/** What `ssh -G` says, and whether it ran programs to find out. */
export type Said = Pick<SshAnswer, "printed" | "ranPrograms">;

/** Who asks, and as whom. */
export interface Asking extends Wish {
  /** whose environment ssh has, and what Match exec runs; tund's own if not given */
  environment?: CallerEnvironment | null | undefined;
  /** whether an earlier answer will do, as long as ssh would give the same */
  mayRecall?: boolean;
}

export class SshQueries {
  readonly #children: Children;
  readonly #clock: Clock;
  readonly #recollection: Recollection;
  readonly #turns: DialQueue;
  /** questions that wait for their turn */
  readonly #waiting = new Map<string, Query>();
  /** questions that are being answered, until they are slow */
  readonly #passing = new Map<string, Promise<void>>();
  readonly #queries = new Set<Query>();
  readonly #atEnd: (() => void)[] = [];

  constructor({ children, files, slices, home, clock }: SshQueriesOptions) {
    this.#recollection = new Recollection({ files, home, clock });
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
   * What `ssh -G` prints for these arguments, and whether it ran programs for that. Those who ask the same share one run, as
   * long as that has not begun: what ssh_config says when they ask is what counts.
   * @throws TundError HOST_CONFIG_FAILED, SSH_NOT_FOUND; what `signal` was aborted with
   */
  async ask(
    args: readonly string[],
    { environment = null, mayRecall = false, ...wish }: Asking,
  ): Promise<Said> {
    const key = Recollection.key(args, environment?.key ?? null);
    if (!mayRecall) return this.#asked(key, { args, environment }, wish);
    const printed = await this.#recollection.recall(key);
    wish.signal?.throwIfAborted();
    if (printed !== undefined) return { printed, ranPrograms: false };
    const askedAt = this.#clock.now();
    const answer = await this.#asked(key, { args, environment }, wish);
    void this.#recollection.keep(key, args, answer, askedAt); // in its own time: it never throws
    return answer;
  }

  #asked(key: string, question: Question, wish: Wish): Promise<SshAnswer> {
    const standing = this.#waiting.get(key);
    if (standing !== undefined) {
      const answer = standing.join(wish);
      if (wish.isAwaited()) this.#turns.reconsider();
      return answer;
    }
    const query = new Query(() => this.#forget(key, query));
    this.#waiting.set(key, query);
    const answer = query.join(wish);
    query.settleWith(this.#run(key, question, query));
    return answer;
  }

  /** To be called when a person has begun to wait for something. */
  reconsider(): void {
    this.#turns.reconsider();
  }

  /** Calls `run` when all of it ends. */
  onEnd(run: () => void): void {
    this.#atEnd.push(run);
  }

  /** Ends all of it: the daemon ends. */
  end(): void {
    for (const run of this.#atEnd.splice(0)) run();
    for (const query of this.#queries) query.abort(new TundError("SHUTTING_DOWN", "tund is shutting down"));
  }

  async #run(key: string, { args, environment }: Question, query: Query): Promise<SshAnswer> {
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
      const [children, clock] = [this.#children, this.#clock];
      const env = environment?.over(children.env);
      return await askSsh(args, { children, clock, signal, onGone: turn.end, ...(env && { env }) });
    } finally {
      this.#forget(key, query);
      this.#queries.delete(query);
    }
  }

  #forget(key: string, query: Query): void {
    if (this.#waiting.get(key) === query) this.#waiting.delete(key);
  }
}

interface Question {
  args: readonly string[];
  environment: CallerEnvironment | null;
}

/** One question, of all who ask it. */
class Query {
  readonly #wishes = new Set<Wish>();
  readonly #unwanted = new AbortController();
  readonly #onUnwanted: () => void;
  readonly #answer: Promise<SshAnswer>;
  #settle: (answer: Promise<SshAnswer>) => void = () => undefined;

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

  settleWith(answer: Promise<SshAnswer>): void {
    this.#settle(answer);
  }

  /** Settles with the answer, or when it is not wanted any longer. */
  join(wish: Wish): Promise<SshAnswer> {
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
