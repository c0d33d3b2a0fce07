// The connections of one forward, from their beginning to their end, and what they came to in all.
import type { Socket } from "node:net";
import { asTundError, type ErrorCode } from "../../shared/errors.ts";
import type { Originator } from "../ssh/channel.ts";
import { abandon } from "./outbound.ts";
import type { Incoming, Joined } from "./point.ts";
import { splice } from "./splice.ts";

export interface ConnectionsOptions {
  /** one found no other end */
  onFailure: (incoming: Incoming, error: unknown) => void;
  /** there is one less */
  onEnd: () => void;
}

export class Connections {
  readonly bytes = { in: 0, out: 0 };
  readonly failedBy = new Map<ErrorCode, number>();
  readonly #options: ConnectionsOptions;
  /** without their other end yet */
  readonly #joining = new Set<Incoming>();
  readonly #joined = new Map<Socket, Incoming>();
  #total = 0;
  #failed = 0;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** Those that have no other end yet included. */
  get size(): number {
    return this.#joining.size + this.#joined.size;
  }

  /** Those that have both ends. */
  get open(): number {
    return this.#joined.size;
  }

  get counts(): { open: number; total: number; failed: number } {
    return { open: this.#joined.size, total: this.#total, failed: this.#failed };
  }

  /** Who is at the other end of those that have both. */
  get originators(): Originator[] {
    return [...this.#joined.values()].map(({ originator }) => originator);
  }

  accept(incoming: Incoming): void {
    this.#joining.add(incoming);
    incoming.join().then(
      (joined) => this.#join(incoming, joined),
      (error: unknown) => {
        this.#failed++;
        const { code } = asTundError(error);
        this.failedBy.set(code, (this.failedBy.get(code) ?? 0) + 1);
        this.#joining.delete(incoming);
        this.#options.onFailure(incoming, error);
        this.#options.onEnd();
      },
    );
  }

  /** Ends those that have both ends. */
  dropJoined(): void {
    for (const socket of this.#joined.keys()) socket.destroy();
  }

  /** Ends all of them. */
  drop(): void {
    this.dropJoined();
    for (const incoming of this.#joining) incoming.destroy();
  }

  #join(incoming: Incoming, { socket, channel }: Joined): void {
    this.#joining.delete(incoming);
    if (socket.destroyed) {
      // dropped while the other end was being found
      abandon(channel);
      return this.#options.onEnd();
    }
    this.#joined.set(socket, incoming);
    this.#total++;
    return splice(socket, channel, this.bytes, () => {
      this.#joined.delete(socket);
      this.#options.onEnd();
    });
  }
}
