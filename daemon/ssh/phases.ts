// How long each phase of a connection attempt may take: what needs no person has a limit, and while a person is asked nothing
// is counted. From authentication on the server alone has limits, as in ssh.
import { clipped } from "../../shared/clipped.ts";
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Caller } from "./caller.ts";
import type { HostConfig } from "./host-config.ts";
import type { Outstanding } from "./outstanding.ts";

/** What a key exchange may take, in milliseconds: nobody has to do anything for it, and the slowest machine needs seconds. */
export const KEY_EXCHANGE_MS = 120_000;

// Of a question, which may be the server's, what is told of it.
const MOST_ASKED = 200;

/**
 * How long the server's version line (RFC 4253 section 4.2) is waited for, in milliseconds. ConnectTimeout, of which the TCP
 * connection took `tookMs`, as in ssh; behind a ProxyCommand or a jump only one that somebody has set, since there a person may
 * be logging in at a browser meanwhile.
 */
export const versionLimitMs = (
  { way, connectTimeoutMs, isConnectTimeoutSet }: HostConfig,
  tookMs = 0,
): number =>
  way.kind === "direct" || isConnectTimeoutSet ? Math.max(connectTimeoutMs - tookMs, 1) : Infinity;

export class Phases {
  readonly #clock: Clock;
  readonly #outstanding: Outstanding;
  #onLate: () => void = () => undefined;
  #timer: Timer | undefined;
  /** what is left of the phase, in milliseconds, at the moment `#since` */
  #leftMs = Infinity;
  #since = 0;
  #asking = 0;

  /** @param outstanding is told of what a person is asked */
  constructor(clock: Clock, outstanding: Outstanding) {
    this.#clock = clock;
    this.#outstanding = outstanding;
  }

  /** A phase begins, and with it the one before is over. `onLate` is called when it takes more than `ms` milliseconds. */
  begin(ms: number, onLate: () => void): void {
    this.end();
    this.#leftMs = ms;
    this.#onLate = onLate;
    if (this.#asking === 0) this.#run();
  }

  /** What follows has no limit. */
  end(): void {
    this.#timer?.cancel();
    this.#leftMs = Infinity;
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
        if (this.#asking++ === 0) this.#pause();
        try {
          return await this.#outstanding.during(
            `an answer to '${clipped(question.text.trim(), MOST_ASKED)}'`,
            caller.ask(question),
          );
        } finally {
          if (--this.#asking === 0) this.#run();
        }
      },
    };
  }

  #run(): void {
    this.#since = this.#clock.monotonic();
    if (this.#leftMs !== Infinity) this.#timer = this.#clock.after(this.#leftMs, () => this.#onLate());
  }

  #pause(): void {
    this.#timer?.cancel();
    this.#leftMs = Math.max(this.#leftMs - (this.#clock.monotonic() - this.#since), 0);
  }
}
