// Who waits for a master to be ready.
import type { TundError } from "../../shared/errors.ts";
import type { Member } from "./company.ts";

/** Who waits for a master to be ready, and how long. */
export interface Patience {
  member?: Member;
  /** rejects when it is over */
  deadline?: Promise<never>;
}

export class Waiters {
  readonly #waiting = new Set<{ resolve: () => void; reject: (why: unknown) => void }>();

  get any(): boolean {
    return this.#waiting.size > 0;
  }

  /** Settles with the next outcome, or when `deadline` rejects: it is not waited for any longer. */
  wait(deadline?: Promise<never>): Promise<void> {
    return new Promise((resolve, reject) => {
      const one = { resolve, reject };
      this.#waiting.add(one);
      deadline?.catch((late: unknown) => {
        this.#waiting.delete(one);
        reject(late);
      });
    });
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
