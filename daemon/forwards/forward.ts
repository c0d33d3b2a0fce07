// A forward of any kind: its state, its connections and what it has done. What sets the kinds apart is its point.
import type { Socket } from "node:net";
import { type Clock, timestamp } from "../../shared/clock.ts";
import type { Forward as ForwardRecord } from "../../shared/contract.ts";
import { messageOf } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import { asTundError } from "./dynamic.ts";
import { abandon } from "./outbound.ts";
import type { Incoming, Joined, Listening, Point } from "./point.ts";
import type { SettledSpec } from "./settled.ts";
import { splice } from "./splice.ts";
import { type ForwardEvent, type ForwardState, nextForwardState } from "./state.ts";

export interface ForwardOptions {
  id: string;
  /** the host as its user named it */
  host: string;
  spec: SettledSpec;
  point: Point;
  clock: Clock;
  log: Log;
  /** called when a connection has ended */
  onConnectionEnd: () => void;
}

export class Forward {
  readonly id: string;
  readonly host: string;
  readonly spec: SettledSpec;
  /** somebody was told that it is active: another command's failure does not take it back */
  isPromised = false;
  readonly #options: ForwardOptions;
  readonly #connections = new Set<Incoming>();
  readonly #channels = { open: 0, total: 0, failed: 0 };
  readonly #bytes = { in: 0, out: 0 };
  #state: ForwardState = "pending";
  #since: number;
  #failure: ForwardRecord["failure"] = null;
  #listening: Listening | undefined;
  #opening: Promise<void> | undefined;
  #allocatedPort: number | null = null;

  constructor(options: ForwardOptions) {
    this.#options = options;
    this.id = options.id;
    this.host = options.host;
    this.spec = options.spec;
    this.#since = options.clock.now();
  }

  get state(): ForwardState {
    return this.#state;
  }

  /** The port that the server chose, once it has. */
  get allocatedPort(): number | null {
    return this.#allocatedPort;
  }

  /** Connections, those included that have no other end yet: those of a cancelled forward live on. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Starts to accept; a second call waits for the first. @throws TundError BIND_IN_USE, BIND_FAILED, FORWARD_REFUSED */
  listen(): Promise<void> {
    this.#opening ??= this.#listen();
    return this.#opening;
  }

  /** To be called when the link is lost: connections end, and a listener on the server is gone. */
  linkLost(): void {
    this.dropConnections();
    if (!this.#options.point.isRemote) return;
    this.#listening = undefined;
    this.#opening = undefined;
    this.#enter("unbound");
  }

  /** To be called when there is a new link: what the server listened on is asked for again. */
  linkReady(): void {
    if (!this.#options.point.isRemote) return;
    // Its failure stands in the forward itself.
    this.listen().catch((error: unknown) =>
      this.#options.log.warn({ error: messageOf(error) }, "forward not restored"),
    );
  }

  /** Stops accepting; settles when the listener is gone. Established connections live on. */
  async stopAccepting(): Promise<void> {
    this.#enter("close");
    const listening = this.#listening;
    this.#listening = undefined;
    this.#endIfDrained();
    try {
      await listening?.close();
    } catch (error) {
      this.#options.log.warn({ error: messageOf(error) }, "the listener could not be taken away in order");
    }
  }

  /** Ends every connection, established or not. */
  dropConnections(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  /** The forward as it stands on the wire. */
  snapshot(): ForwardRecord {
    const { kind, text, bind, destination } = this.spec;
    return {
      id: this.id,
      name: null,
      host: this.host,
      kind,
      spec: text,
      bind,
      destination,
      allocatedPort: this.#allocatedPort,
      boundTo: [...(this.#listening?.boundTo ?? [])],
      state: this.#state,
      since: timestamp(this.#since),
      failure: this.#failure,
      warnings: [...(this.#listening?.warnings ?? [])],
      persistent: false,
      channels: { ...this.#channels },
      bytes: { ...this.#bytes },
    };
  }

  async #listen(): Promise<void> {
    const { point, log } = this.#options;
    this.#enter("retry");
    try {
      const listening = await point.listen((incoming) => this.#accept(incoming), this.#allocatedPort);
      // Cancelled meanwhile: nobody is left who would close it.
      if (this.#state !== "pending") return await listening.close();
      this.#listening = listening;
      this.#allocatedPort = listening.allocatedPort;
      this.#enter("bound");
      log.info({ boundTo: listening.boundTo }, `listening for ${this.spec.text}`);
    } catch (error) {
      this.#opening = undefined;
      this.#fail(error);
      this.#enter("refused");
      throw error;
    }
    return undefined;
  }

  #accept(incoming: Incoming): void {
    this.#connections.add(incoming);
    incoming.join().then(
      (joined) => this.#joined(incoming, joined),
      (error: unknown) => {
        this.#channels.failed++;
        this.#fail(error);
        this.#options.log.info({ from: incoming.originator, error: messageOf(error) }, "connection failed");
        this.#ended(incoming);
      },
    );
  }

  #joined(incoming: Incoming, { socket, channel }: Joined): void {
    if (socket.destroyed) {
      // dropped while the other end was being found
      abandon(channel);
      return this.#ended(incoming);
    }
    const connection = endableBy(socket, incoming);
    this.#connections.delete(incoming);
    this.#connections.add(connection);
    this.#channels.total++;
    this.#channels.open++;
    return splice(socket, channel, this.#bytes, () => {
      this.#channels.open--;
      this.#ended(connection);
    });
  }

  #ended(connection: Incoming): void {
    this.#connections.delete(connection);
    this.#options.onConnectionEnd();
    this.#endIfDrained();
  }

  #fail(error: unknown): void {
    const { code, message } = asTundError(error);
    this.#failure = { code, message, at: timestamp(this.#options.clock.now()) };
  }

  #endIfDrained(): void {
    if (this.#state === "closing" && this.#connections.size === 0) this.#enter("drained");
  }

  #enter(event: ForwardEvent): void {
    const state = nextForwardState(this.#state, event);
    if (state === this.#state) return;
    this.#state = state;
    this.#since = this.#options.clock.now();
  }
}

// Once it is joined, the socket's end is the end of both.
const endableBy = (socket: Socket, incoming: Incoming): Incoming => ({
  ...incoming,
  destroy: () => socket.destroy(),
});
