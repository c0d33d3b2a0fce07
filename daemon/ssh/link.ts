// The master's TCP connection as the channels above it see it: whether what they write would wait, and until when; and what
// of a read is lent to them.
import type { Loans } from "./loans.ts";
import type { Wire } from "./wire.ts";

// ssh2 writes whatever it is given and ignores the socket's answer: without a gate, each upload dumps its whole window
// (2 MiB) into this queue, and a keystroke on another channel waits behind it. 128 KiB keeps both rate and round trip.
const GATE_BYTES = 128 * 1024;

export class Link {
  readonly #socket: Wire;
  readonly #isExchanging: () => boolean;
  #waiting: (() => void)[] = [];
  #gone = false;
  /** what of a read is not given back yet */
  readonly loans: Loans;

  /** @param isExchanging whether new keys are being exchanged: ssh2 keeps whatever is written meanwhile, and counts nothing */
  constructor(socket: Wire, loans: Loans, isExchanging: () => boolean) {
    this.loans = loans;
    this.#socket = socket;
    this.#isExchanging = isExchanging;
    const end = () => {
      this.#gone = true;
      this.release();
    };
    socket.on("drain", () => this.release());
    socket.once("end", end);
    socket.once("close", end);
  }

  /** Whether the peer is lost: ssh2 takes writes after that, answers them with success, and drops them. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Whether a writer should wait: more is queued than the gate lets through. */
  get congested(): boolean {
    return !this.#gone && (this.#socket.writableLength > GATE_BYTES || this.#isExchanging());
  }

  /** Calls `run` once when the queue has drained or new keys are there, or the link is gone; it may be congested again. */
  whenDrained(run: () => void): void {
    this.#waiting.push(run);
  }

  /** To be called when new keys are in use. */
  release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) run();
  }
}
