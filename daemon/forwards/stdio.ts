// A caller's own stdin and stdout joined to a channel (ssh -W): open first, claimed a moment later.
import type { Socket } from "node:net";
import { type Clock, type Timer } from "../../shared/clock.ts";
import type { Channel } from "../ssh/channel.ts";
import { abandon } from "./outbound.ts";
import { splice } from "./splice.ts";

const CLAIM_DEADLINE_MS = 10_000;

export class Stdio {
  readonly #channel: Channel;
  readonly #onEnd: () => void;
  readonly #timer: Timer;
  #socket: Socket | undefined;
  #ended = false;

  /** @param onEnd called once, when it has ended or was not claimed within 10 s */
  constructor(channel: Channel, clock: Clock, onEnd: () => void) {
    this.#channel = channel;
    this.#onEnd = onEnd;
    this.#timer = clock.after(CLAIM_DEADLINE_MS, () => this.dropConnections());
  }

  get connections(): number {
    return this.#ended ? 0 : 1;
  }

  /** Joins the caller's connection, which must be paused and half-open, to the channel. */
  claim(socket: Socket): void {
    this.#timer.cancel();
    this.#socket = socket;
    socket.on("error", () => undefined); // 'close' follows, and says all
    splice(socket, this.#channel, { in: 0, out: 0 }, () => this.#end());
  }

  dropConnections(): void {
    if (this.#socket !== undefined) return void this.#socket.destroy();
    this.#timer.cancel();
    if (!this.#channel.link.gone) abandon(this.#channel);
    return this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
  }
}
