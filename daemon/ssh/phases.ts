// How long each phase of a connection attempt may take; while a person is asked, nothing is counted.
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Caller } from "./caller.ts";

export class Phases {
  readonly #clock: Clock;
  readonly #ms: number;
  #onLate: () => void = () => undefined;
  #timer: Timer | undefined;
  #asking = 0;
  #isOver = false;

  /** @param ms what each phase is given */
  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  /** A phase begins. `onLate` is called when it takes too long. */
  begin(onLate: () => void): void {
    this.#onLate = onLate;
    this.#arm();
  }

  /** There is nothing more to wait for. */
  end(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  /** A caller who may take their time. */
  patient(caller: Caller): Caller {
    return {
      get isPresent() {
        return caller.isPresent;
      },
      get agents() {
        return caller.agents;
      },
      remembers: (memo) => caller.remembers(memo),
      forget: (memo) => caller.forget(memo),
      keepKey: (memo, key) => caller.keepKey(memo, key),
      keptKey: (memo) => caller.keptKey(memo),
      tell: (text) => caller.tell(text),
      ask: async (question) => {
        this.#asking++;
        this.#timer?.cancel();
        try {
          return await caller.ask(question);
        } finally {
          this.#asking--;
          this.#arm();
        }
      },
    };
  }

  #arm(): void {
    this.#timer?.cancel();
    if (this.#isOver || this.#asking > 0) return;
    this.#timer = this.#clock.after(this.#ms, () => this.#onLate());
  }
}
