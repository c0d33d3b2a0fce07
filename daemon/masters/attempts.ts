// Dialling: one attempt at a time, and when the next one is due. Nothing that an earlier attempt brings late is heard.
import type { Clock, Timer } from "../../shared/clock.ts";
import type { ErrorCode, TundError } from "../../shared/errors.ts";
import type { Connection } from "../ssh/connection.ts";
import { HeldBack } from "../ssh/doors.ts";
import { isRefusedLogin, wasTried } from "../ssh/failure.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import { isSecurityKey } from "../ssh/offer.ts";
import { afterRefusals, backoff, PROMPT_FOR_MS, promptly, SILENT_MS } from "./backoff.ts";
import type { GoodLogins } from "./good-logins.ts";

export interface Attempt {
  config: HostConfig;
  /** ends the attempt, and the connection that it became */
  signal: AbortSignal;
  /** after so many milliseconds an address counts as silent, where ConnectTimeout is not set and nobody waits */
  silentMs: number | undefined;
  /** whether the last login with the same configuration was accepted */
  isTrusted: () => boolean;
}

/** Dials a host. @throws TundError why not */
export type Dial = (attempt: Attempt) => Promise<Connection>;

export interface AttemptsOptions {
  dial: Dial;
  /** runs what comes of an attempt as the host's */
  follow: (run: () => Promise<void>) => Promise<void>;
  clock: Clock;
  random: () => number;
  /** the host's */
  names: ReadonlySet<string>;
  goodLogins: Pick<GoodLogins, "of">;
  /** whether it is dialled over nothing that has to be started, or be there, first */
  isWayOpen: () => boolean;
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
  #startedAt = 0;
  /** since when it has no link that has held, after one that had; by the monotonic clock, too */
  #awaySince: number | undefined;
  /** how many logins were refused since one was accepted */
  #refusals = 0;
  /** how long the next attempt has to wait, whatever else happens: the server has refused some */
  #heldMs: number | undefined;

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  /** When the next attempt is due, in milliseconds since the epoch, if one is. */
  get retryAt(): number | null {
    return this.#retry?.at ?? null;
  }

  start(config: HostConfig): void {
    const { clock, dial, follow, onConnection, onFailure } = this.#options;
    this.abort();
    const attempt = new AbortController();
    this.#current = attempt;
    this.#startedAt = clock.monotonic();
    this.#heldMs = undefined;
    const silentMs = this.#isPrompt ? SILENT_MS : undefined;
    const isTrusted = () => this.#refusals === 0 && this.#goodKey(config) !== null;
    void follow(() =>
      dial({ config, signal: attempt.signal, silentMs, isTrusted }).then(
        (connection) => {
          if (attempt !== this.#current) return connection.close();
          this.#connectedAt = clock.monotonic();
          this.#refusals = 0;
          return onConnection(connection);
        },
        (error: unknown) => {
          if (attempt !== this.#current) return;
          this.#note(error);
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
    const { clock } = this.#options;
    const ms = this.#heldMs ?? this.#backoff();
    this.#retry = { at: clock.now() + ms, timer: clock.after(ms, again) };
  }

  cancelRetry(): void {
    this.#retry?.timer.cancel();
    this.#retry = undefined;
  }

  /** The link that the last attempt came to was lost. */
  lost(): void {
    const now = this.#options.clock.monotonic();
    const wasWell = now - this.#connectedAt >= HELD_MS;
    this.#failures = wasWell ? 1 : this.#failures + 1;
    if (wasWell) this.#awaySince = now;
  }

  /** Forgets the failures: somebody wants it now. */
  forgive(): void {
    this.#failures = 0;
    this.#refusals = 0;
  }

  /** Whether the next attempt may be made sooner than it is due: not where the server has refused some. */
  get mayHurry(): boolean {
    return this.#heldMs === undefined;
  }

  /**
   * What the last attempt's failure is for its host: a login that is refused, and was accepted before by a key that is among
   * those refused, is lost for a while; a security key wants a person first.
   */
  codeOf(failure: TundError, config: HostConfig): ErrorCode {
    const good = this.#goodKey(config);
    if (good === null || !isRefusedLogin(failure) || !wasTried(failure, good)) return failure.code;
    if (isSecurityKey(good)) return "PROMPT_UNANSWERED";
    const ms = afterRefusals(this.#refusals);
    if (ms === null) return failure.code;
    this.#heldMs = ms;
    return "CONNECTION_LOST";
  }

  // Of the names as they are now: it may have been given them while it was dialling.
  #goodKey({ identity }: HostConfig): string | null {
    return this.#options.goodLogins.of(this.#options.names, identity);
  }

  // It was well, and is away for no more than a while.
  get #isPrompt(): boolean {
    const { clock, isWayOpen } = this.#options;
    if (this.#awaySince === undefined) return false;
    return clock.monotonic() - this.#awaySince < PROMPT_FOR_MS && isWayOpen();
  }

  #note(error: unknown): void {
    this.#failures++;
    if (isRefusedLogin(error)) this.#refusals++;
    if (error instanceof HeldBack) this.#heldMs = error.waitMs;
  }

  #backoff(): number {
    const { clock, random } = this.#options;
    const failures = Math.max(1, this.#failures);
    return this.#isPrompt
      ? promptly(failures, random(), clock.monotonic() - this.#startedAt)
      : backoff(failures, random());
  }
}
