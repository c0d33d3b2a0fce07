// Dialling: one attempt at a time, and when the next one is due. Nothing that an earlier attempt brings late is heard.
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Connection } from "../ssh/connection.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import { backoff } from "./backoff.ts";

export interface Attempt {
  config: HostConfig;
  /** ends the attempt, and the connection that it became */
  signal: AbortSignal;
}

/** Dials a host. @throws TundError why not */
export type Dial = (attempt: Attempt) => Promise<Connection>;

export interface AttemptsOptions {
  dial: Dial;
  /** runs what comes of an attempt as the host's */
  follow: (run: () => Promise<void>) => Promise<void>;
  clock: Clock;
  random: () => number;
  onConnection: (connection: Connection) => void;
  onFailure: (error: unknown) => void;
}

// A link that broke sooner counts as another failed attempt: a server that drops everybody is not dialled every second.
const HELD_MS = 10_000;

export class Attempts {
  readonly #options: AttemptsOptions;
  #current = new AbortController();
  #failures = 0;
  #retry: { at: number; timer: Timer } | undefined;
  /** when the last connection came up, by the monotonic clock: a clock that is set must not make it look long */
  #connectedAt = 0;

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  /** When the next attempt is due, in milliseconds since the epoch, if one is. */
  get retryAt(): number | null {
    return this.#retry?.at ?? null;
  }

  start(config: HostConfig): void {
    const { dial, follow, onConnection, onFailure } = this.#options;
    this.abort();
    const attempt = new AbortController();
    this.#current = attempt;
    void follow(() =>
      dial({ config, signal: attempt.signal }).then(
        (connection) => {
          if (attempt !== this.#current) return connection.close();
          this.#connectedAt = this.#options.clock.monotonic();
          return onConnection(connection);
        },
        (error: unknown) => {
          if (attempt !== this.#current) return;
          this.#failures++;
          onFailure(error);
        },
      ),
    );
  }

  /** Ends the attempt that is under way, or the wait for the next. */
  abort(): void {
    this.cancelRetry();
    this.#current.abort();
    this.#current = new AbortController();
  }

  /** Calls `again` when the next attempt is due. */
  retry(again: () => void): void {
    const { clock, random } = this.#options;
    const ms = backoff(Math.max(1, this.#failures), random());
    this.#retry = { at: clock.now() + ms, timer: clock.after(ms, again) };
  }

  cancelRetry(): void {
    this.#retry?.timer.cancel();
    this.#retry = undefined;
  }

  /** The link that the last attempt came to was lost. */
  lost(): void {
    const heldMs = this.#options.clock.monotonic() - this.#connectedAt;
    this.#failures = heldMs >= HELD_MS ? 1 : this.#failures + 1;
  }

  /** Forgets the failures: somebody wants it now. */
  forgive(): void {
    this.#failures = 0;
  }
}
