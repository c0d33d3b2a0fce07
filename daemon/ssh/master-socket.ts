// A master's TCP socket, which reads into the same memory again and again while nobody keeps what it read. Memory that is
// still in the processor's cache, and need not be collected, makes a download a quarter cheaper (measured).
import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net";
import type { Loans } from "./loans.ts";

const MEMORY_BYTES = 128 * 1024;
const SHORTEST_READ_BYTES = 32 * 1024;

export interface MasterSocketOptions {
  noDelay: boolean;
  keepAlive: boolean;
  /** destroys it */
  signal: AbortSignal;
  dialled?: string;
}

export class MasterSocket extends Socket {
  #memory = Buffer.allocUnsafeSlow(MEMORY_BYTES);
  #loans: Loans | undefined;

  /** the address that is dialled, which need not be the peer's: 0.0.0.0 leads to 127.0.0.1 */
  readonly dialled: string | undefined;
  /** how long it took to connect, in milliseconds */
  tookMs: number | undefined;

  /** Paused: what comes is read once somebody listens to 'data' and calls resume(). */
  constructor({ dialled, ...options }: MasterSocketOptions) {
    const onread: OnReadOpts = {
      buffer: () => this.#memory,
      callback: (length) => {
        this.#received(length);
        return true;
      },
    };
    super({ ...options, onread } as SocketConstructorOpts); // of which the types know all but this
    this.dialled = dialled;
    this.pause();
  }

  /** From now on memory is used again; `loans` knows when. */
  lend(loans: Loans): void {
    this.#loans = loans;
  }

  #received(length: number): void {
    const data = this.#memory.subarray(0, length);
    this.#loans?.begin(data.buffer);
    this.emit("data", data);
    if (this.#loans?.end() !== true) this.#giveAway(length);
  }

  // What was read stays with whoever keeps it.
  #giveAway(length: number): void {
    const left = this.#memory.length - length;
    this.#memory =
      left < SHORTEST_READ_BYTES ? Buffer.allocUnsafeSlow(MEMORY_BYTES) : this.#memory.subarray(length);
  }
}
