// The master's TCP connection as the channels above it see it: how much is queued, when it has drained, and what it has lent.
import type { Loans } from "./loans.ts";
import type { Wire } from "./wire.ts";

// ssh2 writes whatever it is given and ignores the socket's answer: without a gate, each upload dumps its whole window
// (2 MiB) into this queue, and a keystroke on another channel waits behind it. 128 KiB keeps both rate and round trip.
const GATE_BYTES = 128 * 1024;

export class Link {
  readonly #socket: Wire;
  #waiting: (() => void)[] = [];
  #gone = false;

  /** what the read that is going on has lent */
  readonly loans: Loans;

  constructor(socket: Wire, loans: Loans) {
    this.loans = loans;
    this.#socket = socket;
    const end = () => {
      this.#gone = true;
      this.#release();
    };
    socket.on("drain", () => this.#release());
    socket.once("end", end);
    socket.once("close", end);
  }

  /** Whether the peer is lost: ssh2 takes writes after that, answers them with success, and drops them. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Whether a writer should wait: more is queued than the gate lets through. */
  get congested(): boolean {
    return !this.#gone && this.#socket.writableLength > GATE_BYTES;
  }

  /** Calls `run` once when the queue has drained, or the link is gone. */
  whenDrained(run: () => void): void {
    this.#waiting.push(run);
  }

  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) run();
  }
}
