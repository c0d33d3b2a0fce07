// Notices a dead link in bounded time: ServerAliveInterval and ServerAliveCountMax of ssh_config(5).
import type { Clock, Timer } from "../../shared/clock.ts";

export interface KeepaliveOptions {
  intervalMs: number;
  countMax: number;
  clock: Clock;
  /** bytes received so far: any growth is a sign of life, as in OpenSSH (and unlike ssh2's own keepalive) */
  received: () => number;
  /** asks the peer for an answer */
  probe: (onReply: () => void) => void;
  /** called once, when `countMax` probes in a row had no answer within an interval each */
  onDead: () => void;
}

/** What is known of a link after it was asked for an answer. */
export type Life =
  | { round: "answered"; ms: number }
  /** no answer came, but something else did */
  | { round: "unmeasured" }
  | { round: "silent" }
  | { round: "over" };

/** Asks the peer for an answer, and waits for any sign of life until the deadline, in ms. */
export function signOfLife(
  link: Pick<KeepaliveOptions, "clock" | "received"> & {
    ping: (onPong: (ms: number | undefined) => void) => void;
  },
  deadlineMs: number,
): Promise<Life> {
  return new Promise((resolve) => {
    const before = link.received();
    const timer = link.clock.after(deadlineMs, () =>
      resolve({ round: link.received() === before ? "silent" : "unmeasured" }),
    );
    link.ping((ms) => {
      timer.cancel();
      resolve(ms === undefined ? { round: "over" } : { round: "answered", ms });
    });
  });
}

export class Keepalive {
  readonly #options: KeepaliveOptions;
  #unanswered = 0;
  #received: number;
  #timer: Timer | undefined;

  constructor(options: KeepaliveOptions) {
    this.#options = options;
    this.#received = options.received();
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #arm(): void {
    this.#timer = this.#options.clock.after(this.#options.intervalMs, () => this.#tick());
  }

  #tick(): void {
    const { countMax, received, probe, onDead } = this.#options;
    const now = received();
    if (now !== this.#received) {
      this.#received = now;
      this.#unanswered = 0;
    } else if (this.#unanswered >= countMax) {
      return onDead();
    } else {
      this.#unanswered++;
      probe(() => (this.#unanswered = 0));
    }
    return this.#arm();
  }
}
