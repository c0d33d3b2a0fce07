// One command, from its request to its answer: what it changes counts once it is answered, and is taken back if it is not.
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";

/** Something that a command has changed, or builds on. */
export interface Part {
  /** @throws TundError when what the command builds on does not stand any more */
  check?: () => void;
  /** the command was answered */
  commit?: () => void;
  /** it was not: what it changed is as it was, as far as nobody else wants it; settles when that is done */
  rollback?: () => void | Promise<void>;
}

/** How long a command may take. */
export interface Deadline {
  /** without end where undefined */
  seconds: number | undefined;
  /** what is told of it then, as in `db was not connected` */
  undone: string;
}

/** What a command fails with whose client is gone; nobody hears it. */
export const unheard = (): TundError => new TundError("TIMEOUT", "nobody waits for the answer any longer");

export class Transaction {
  readonly #asker = new AbortController();
  readonly #parts: Part[] = [];
  #isRunning = false;
  #isOver = false;

  /** @param signal aborts it */
  constructor(signal?: AbortSignal) {
    if (signal === undefined) return;
    const stop = () => this.abort(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  }

  /** Aborted as soon as nobody waits for the answer any longer. */
  get signal(): AbortSignal {
    return this.#asker.signal;
  }

  /** Nobody waits for the answer any longer. What was done already, and could not be answered, is taken back. */
  abort(why: unknown): void {
    if (this.#isOver) return;
    this.#asker.abort(why);
    if (!this.#isRunning) void this.rollback();
  }

  /** Aborts it with TIMEOUT in so many seconds, if they are given: `undone` within them. Gives what calls that off. */
  expireIn({ seconds, undone }: Deadline, clock: Clock): () => void {
    if (seconds === undefined) return () => undefined;
    const late = () => this.abort(new TundError("TIMEOUT", `${undone} within ${seconds} s`));
    const timer = clock.after(seconds * 1000, late);
    return () => timer.cancel();
  }

  /** Takes a part in; the latest is rolled back first. */
  enlist(part: Part): void {
    this.#parts.push(part);
  }

  /**
   * Whatever was true before an `await` is looked at again after it. To be called before anything is changed then.
   * @throws TundError when nobody waits any longer, or what the command builds on does not stand any more
   */
  check(): void {
    this.signal.throwIfAborted();
    for (const { check } of this.#parts) check?.();
  }

  /** Waits as long as somebody waits for the answer, and then looks again. @throws what `promise` rejects with, and as check() */
  async wait<T>(promise: Promise<T>): Promise<T> {
    const result = await untilAborted(promise, this.signal);
    this.check();
    return result;
  }

  /** Carries the command out. If it fails all of it is taken back before this rejects. @throws what `act` throws, and as check() */
  async run<T>(act: () => Promise<T>): Promise<T> {
    this.#isRunning = true;
    try {
      this.check();
      const result = await act();
      this.check();
      return result;
    } catch (error) {
      await this.rollback();
      throw error;
    } finally {
      this.#isRunning = false;
    }
  }

  /** Carries out what may fail alone: it is taken back alone then. @throws what `act` throws */
  async nested<T>(act: (part: Transaction) => Promise<T>): Promise<T> {
    const part = new Transaction(this.signal);
    const result = await part.run(() => act(part));
    // That somebody undoes it meanwhile is not the failure of the whole.
    for (const { commit, rollback } of part.#parts.splice(0))
      this.enlist({ ...(commit && { commit }), ...(rollback && { rollback }) });
    part.#isOver = true;
    return result;
  }

  /** The command was answered: what it did is there for good. */
  commit(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const { commit } of this.#parts.splice(0)) commit?.();
  }

  /** Takes all of it back; settles when that is done. */
  async rollback(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    const parts = this.#parts.splice(0).toReversed();
    await Promise.all(parts.map(async ({ rollback }) => rollback?.()));
  }
}

/** Settles as a promise does, or rejects as soon as it is not waited for any longer. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason as Error);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
