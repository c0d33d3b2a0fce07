// How a master stands: in which state, since when, and what went wrong last.
import type { Clock } from "../../shared/clock.ts";
import type { TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Failure } from "../../shared/records.ts";
import { failureRecord } from "../forwards/failure-record.ts";
import { type MasterEvent, type MasterState, nextMasterState } from "./state.ts";

/** How it begins. */
interface Beginning {
  start: MasterState;
  /** why it does not dial by itself */
  failure: TundError | null;
  clock: Clock;
  log: Log;
}

export class Standing {
  readonly #clock: Clock;
  readonly #log: Log;
  #state: MasterState;
  #since: number;
  #failure: Failure | null = null;

  constructor({ start, failure, clock, log }: Beginning) {
    this.#clock = clock;
    this.#log = log;
    this.#state = start;
    this.#since = clock.now();
    if (failure !== null) this.fail(failure);
  }

  get state(): MasterState {
    return this.#state;
  }

  /** In milliseconds since the epoch. */
  get since(): number {
    return this.#since;
  }

  get failure(): Failure | null {
    return this.#failure;
  }

  /** Something has happened. Tells whether that has changed its state. */
  apply(event: MasterEvent): boolean {
    const from = this.#state;
    const to = nextMasterState(from, event);
    if (to === from) return false;
    this.#state = to;
    this.#since = this.#clock.now();
    this.#log.info({ from, to }, `master ${to}`);
    return true;
  }

  /** An attempt, or the link, has failed. */
  fail(failure: TundError): void {
    this.#failure = failureRecord(failure, this.#clock.now());
    this.#log.warn({ code: failure.code, cause: failure.cause }, failure.message);
  }
}
