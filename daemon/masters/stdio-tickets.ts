// Channels for callers' own stdin and stdout: opened first, then claimed by whoever has the ticket.
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { parseStdioDestination } from "../../shared/forward-spec.ts";
import { withinDeadline } from "../forwards/outbound.ts";
import { Stdio } from "../forwards/stdio.ts";
import { waitForChannel } from "./channels.ts";
import type { Master } from "./master.ts";
import type { Transaction } from "./transaction.ts";

export class StdioTickets {
  readonly #clock: Clock;
  /** open channels that wait for their callers */
  readonly #waiting = new Map<string, Stdio>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Opens a channel on a master that is ready, and gives its ticket. @throws TundError why not */
  async open(master: Master, to: string, transaction: Transaction): Promise<string> {
    const opening = master.live().openChannel({ address: "127.0.0.1", port: 0 }, parseStdioDestination(to));
    const channel = await waitForChannel(withinDeadline(opening, this.#clock), transaction);
    const ticket = randomBytes(18).toString("base64url");
    const stdio = new Stdio(channel, this.#clock, () => {
      this.#waiting.delete(ticket);
      master.connectionEnded();
    });
    this.#waiting.set(ticket, stdio);
    master.carry(stdio);
    transaction.enlist({ rollback: () => stdio.dropConnections() });
    return ticket;
  }

  /** What joins a caller's connection to the channel that waits for it; undefined when the ticket is not good (any more). */
  take(ticket: string): ((socket: Socket) => void) | undefined {
    const stdio = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    return stdio && ((socket) => stdio.claim(socket));
  }
}
