// A local forward (ssh -L): a listening point here, and a channel to its destination for each connection.
import type { Socket } from "node:net";
import type { Forward } from "../../shared/contract.ts";
import { type Clock, timestamp } from "../../shared/clock.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { ForwardSpec } from "../../shared/forward-spec.ts";
import type { Log } from "../../shared/log.ts";
import type { Channel, Originator } from "../ssh/connection.ts";
import { splice } from "./splice.ts";
import { type ForwardEvent, type ForwardState, nextForwardState } from "./state.ts";
import { type Listening, listenTcp, type TcpBind } from "./tcp-listener.ts";

export type TcpDestination = Exclude<ForwardSpec["destination"], null>;

export interface LocalForwardOptions {
  id: string;
  /** the host as its user named it */
  host: string;
  /** as its user wrote it */
  spec: string;
  bind: TcpBind;
  destination: TcpDestination;
  /** opens a channel on the master, or throws why not */
  openChannel: (from: Originator, to: TcpDestination) => Promise<Channel>;
  clock: Clock;
  log: Log;
  /** called when a connection has ended */
  onConnectionEnd: () => void;
}

export class LocalForward {
  readonly id: string;
  readonly host: string;
  readonly bind: TcpBind;
  readonly destination: TcpDestination;
  readonly spec: string;
  readonly #options: LocalForwardOptions;
  readonly #sockets = new Set<Socket>();
  readonly #channels = { open: 0, total: 0, failed: 0 };
  readonly #bytes = { in: 0, out: 0 };
  #state: ForwardState = "pending";
  #since: number;
  #failure: Forward["failure"] = null;
  #listening: Listening | undefined;
  #opening: Promise<void> | undefined;

  constructor(options: LocalForwardOptions) {
    this.#options = options;
    this.id = options.id;
    this.host = options.host;
    this.bind = options.bind;
    this.destination = options.destination;
    this.spec = options.spec;
    this.#since = options.clock.now();
  }

  get state(): ForwardState {
    return this.#state;
  }

  /** Listens; a second call waits for the first. @throws TundError BIND_IN_USE, BIND_FAILED */
  listen(): Promise<void> {
    this.#opening ??= this.#listen();
    return this.#opening;
  }

  async #listen(): Promise<void> {
    try {
      const listening = await listenTcp(this.bind, (socket) => this.#accept(socket));
      this.#listening = listening;
      if (this.#state !== "pending") return listening.close(); // cancelled meanwhile
      this.#enter("bound");
      this.#options.log.info({ boundTo: listening.boundTo }, `listening for ${this.spec}`);
    } catch (error) {
      this.#fail(error);
      this.#enter("refused");
      throw error;
    }
  }

  /** Established connections: those of a cancelled forward live on. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Stops accepting, at once. Established connections live on. */
  stopAccepting(): void {
    this.#enter("close");
    this.#listening?.close();
    this.#endIfDrained();
  }

  /** Ends every connection, as when the link is gone. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** The forward as it stands on the wire. */
  snapshot(): Forward {
    return {
      id: this.id,
      name: null,
      host: this.host,
      kind: "local",
      spec: this.spec,
      bind: this.bind,
      destination: this.destination,
      boundTo: this.#state === "active" ? [...(this.#listening?.boundTo ?? [])] : [],
      state: this.#state,
      since: timestamp(this.#since),
      failure: this.#failure,
      warnings: [...(this.#listening?.warnings ?? [])],
      persistent: false,
      channels: { ...this.#channels },
      bytes: { ...this.#bytes },
    };
  }

  #accept(socket: Socket): void {
    const from = { address: socket.remoteAddress ?? "127.0.0.1", port: socket.remotePort ?? 0 };
    this.#sockets.add(socket);
    // ECONNRESET, EPIPE: 'close' follows each, and says all.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#options.onConnectionEnd();
      this.#endIfDrained();
    });
    this.#options.openChannel(from, this.destination).then(
      (channel) => this.#join(socket, channel),
      (error: unknown) => {
        this.#channels.failed++;
        this.#fail(error);
        this.#options.log.info({ from, error: messageOf(error) }, "channel not opened");
        socket.destroySoon(); // as ssh does: a clean end, no reset
      },
    );
  }

  #join(socket: Socket, channel: Channel): void {
    if (socket.destroyed) {
      // dropped while the channel was opening
      channel.stream.close();
      channel.stream.resume();
      return;
    }
    this.#channels.total++;
    this.#channels.open++;
    splice(socket, channel, this.#bytes, () => this.#channels.open--);
  }

  #fail(error: unknown): void {
    const code = error instanceof TundError ? error.code : "INTERNAL";
    this.#failure = { code, message: messageOf(error), at: timestamp(this.#options.clock.now()) };
  }

  #endIfDrained(): void {
    if (this.#state === "closing" && this.#sockets.size === 0) this.#enter("drained");
  }

  #enter(event: ForwardEvent): void {
    const state = nextForwardState(this.#state, event);
    if (state === this.#state) return;
    this.#state = state;
    this.#since = this.#options.clock.now();
  }
}
