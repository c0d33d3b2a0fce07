// Who waits for a master to be ready.
import type { TundError } from "../../shared/errors.ts";
import type { Member } from "./company.ts";
import { untilAborted } from "./transaction.ts";

/** Who waits for a master to be ready, and how long. */
export interface Patience {
  member?: Member;
  /** aborted when it is over */
  signal?: AbortSignal;
}

export class Waiters {
  readonly #waiting = new Set<{ resolve: () => void; reject: (why: unknown) => void }>();

  get any(): boolean {
    return this.#waiting.size > 0;
  }

  /** Settles with the next outcome, or rejects when `signal` is aborted: it is not waited for any longer. */
  async wait(signal: AbortSignal | undefined): Promise<void> {
    const one = { resolve: () => undefined as void, reject: (_why: unknown) => undefined as void };
    const outcome = new Promise<void>((resolve, reject) => Object.assign(one, { resolve, reject }));
    this.#waiting.add(one);
    try {
      await untilAborted(outcome, signal);
    } finally {
      this.#waiting.delete(one);
    }
  }

  succeed(): void {
    for (const { resolve } of this.#take()) resolve();
  }

  fail(why: TundError): void {
    for (const { reject } of this.#take()) reject(why);
  }

  #take() {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    return waiting;
  }
}
