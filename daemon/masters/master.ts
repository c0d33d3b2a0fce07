// The life of one master: it dials, holds the connection, carries forwards, and dials again when the link is lost.
import { type Clock, type Timer, timestamp } from "../../shared/clock.ts";
import type { Master as MasterRecord } from "../../shared/contract.ts";
import { type ErrorCode, messageOf, TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Forward } from "../forwards/forward.ts";
import type { FixedDestination } from "../forwards/local.ts";
import type { Channel, Originator } from "../ssh/channel.ts";
import type { Connection } from "../ssh/connection.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import type { RemoteBind, RemoteListening, RemoteOpen } from "../ssh/remote-listeners.ts";
import { backoff } from "./backoff.ts";
import { Carried, type Passenger } from "./carried.ts";
import { type MasterEvent, type MasterState, nextMasterState } from "./state.ts";

export interface MasterOptions {
  config: HostConfig;
  dial: (config: HostConfig, signal: AbortSignal) => Promise<Connection>;
  clock: Clock;
  random: () => number;
  pid: number;
  log: Log;
  onReady: (master: Master) => void;
}

// What trying again cannot cure, and what a person must decide; everything else is a loss that time may heal.
const eventOf: Partial<Record<ErrorCode, MasterEvent>> = {
  AUTH_FAILED: "refused",
  HOST_KEY_CHANGED: "refused",
  HOST_KEY_REVOKED: "refused",
  KEX_FAILED: "refused",
  HOST_KEY_UNKNOWN: "blocked",
};

interface Waiter {
  resolve: () => void;
  reject: (why: TundError) => void;
}

export class Master {
  /** what it dials with; changes take effect at the next attempt */
  config: HostConfig;
  /** every host name that stands for this master */
  readonly names = new Set<string>();
  /** forwards of ssh_config that could not be set up, the last time that it was asked to */
  warnings: string[] = [];
  /** settles when the master has ended */
  readonly ended: Promise<void>;
  readonly #options: MasterOptions;
  readonly #log: Log;
  readonly #carried = new Carried();
  readonly #waiters = new Set<Waiter>();
  #state: MasterState = "connecting";
  #since: number;
  #connection: Connection | undefined;
  #attempt = new AbortController();
  #failures = 0;
  #connects = 0;
  #failure: MasterRecord["failure"] = null;
  #retry: { at: number; timer: Timer } | undefined;
  #end: () => void = () => undefined;

  constructor(options: MasterOptions) {
    this.#options = options;
    this.config = options.config;
    this.#log = options.log;
    this.#since = options.clock.now();
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#dial();
  }

  get state(): MasterState {
    return this.#state;
  }

  /** What it carries; to be changed through the master's own methods. */
  get forwards(): Forward[] {
    return this.#carried.forwards;
  }

  /** Waits until channels can be opened, dialling at once if it waits to. @throws TundError why the next attempt failed */
  async whenReady(): Promise<void> {
    if (this.#state === "ready") return;
    if (this.#state === "closing" || this.#state === "closed") throw this.#closing();
    const outcome = new Promise<void>((resolve, reject) => this.#waiters.add({ resolve, reject }));
    this.#apply("retry");
    await outcome;
  }

  /** Asks the peer for an answer: its round trip in ms. @throws TundError PROBE_TIMEOUT, or why there is no link */
  probe(deadlineMs: number): Promise<number> {
    return this.#live().probe(deadlineMs);
  }

  /** Opens a channel. @throws TundError why not */
  async openChannel(from: Originator, to: FixedDestination): Promise<Channel> {
    const connection = this.#live();
    return "path" in to ? connection.openUnix(to.path) : connection.openTcp(from, to);
  }

  /** Asks the server to listen. @throws TundError FORWARD_REFUSED, or why there is no link */
  async listen(bind: RemoteBind, onOpen: (open: RemoteOpen) => void): Promise<RemoteListening> {
    return this.#live().listen(bind, onOpen);
  }

  /** Takes something into its care for as long as it has connections. */
  carry(passenger: Passenger): void {
    this.#carried.board(passenger);
  }

  /** Takes a forward into its care. @throws TundError MASTER_CLOSING */
  adopt(forward: Forward): void {
    if (this.#state === "closing" || this.#state === "closed") throw this.#closing();
    this.#carried.adopt(forward);
  }

  /** Cancels a forward; settles when its listener is gone. Its established connections live on. */
  cancel(forward: Forward): Promise<void> {
    return this.#carried.cancel(forward);
  }

  /** To be called when something that it carries has one connection less. */
  connectionEnded(): void {
    this.#carried.sweep();
    if (this.#state === "closing" && this.#carried.connections === 0) this.#close();
  }

  /** Cancels all forwards and takes no new ones; ends when the last established connection has. */
  stop(): void {
    this.#apply("close");
    this.#carried.cancelAll();
    this.connectionEnded();
  }

  /** Ends at once, with everything on it. */
  exit(): void {
    this.stop();
    this.#carried.drop();
    this.#close();
  }

  /** The master as it stands on the wire. */
  snapshot(): MasterRecord {
    const { config } = this;
    return {
      host: config.host,
      names: [...this.names],
      user: config.user,
      hostname: config.hostname,
      port: config.port,
      address: this.#connection?.address ?? null,
      state: this.#state,
      since: timestamp(this.#since),
      server: this.#connection?.server ?? null,
      pid: this.#options.pid,
      roundTripMs: this.#connection?.roundTripMs ?? null,
      reconnects: Math.max(0, this.#connects - 1),
      failure: this.#failure,
      retryAt: this.#retry === undefined ? null : timestamp(this.#retry.at),
      via: [],
      muxSocket: null,
      warnings: [...this.warnings],
      forwards: this.#carried.forwards.length,
      channels: this.#carried.connections,
    };
  }

  #live(): Connection {
    if (this.#connection !== undefined && this.#state === "ready") return this.#connection;
    if (this.#connection !== undefined && this.#state === "closing") return this.#connection;
    const why = this.#failure === null ? "" : `: ${this.#failure.message}`;
    throw new TundError("CONNECTION_LOST", `the master of ${this.config.host} is ${this.#state}${why}`);
  }

  #dial(): void {
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#options.dial(this.config, attempt.signal).then(
      (connection) => this.#established(connection, attempt),
      (error: unknown) => {
        if (attempt === this.#attempt && this.#state === "connecting") this.#failed(error);
      },
    );
  }

  #established(connection: Connection, attempt: AbortController): void {
    if (attempt !== this.#attempt || this.#state !== "connecting") return connection.close();
    this.#connection = connection;
    this.#connects++;
    this.#failures = 0;
    void connection.closed.then((why) => this.#gone(connection, why));
    this.#apply("authenticated");
    this.#carried.linkReady();
    return this.#options.onReady(this);
  }

  // Only the current connection may speak: the late end of an old one must not knock down its successor.
  #gone(connection: Connection, why: TundError | undefined): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    this.#carried.linkLost();
    if (this.#state !== "closing") this.#failed(why);
  }

  #failed(error: unknown): void {
    const failure =
      error instanceof TundError ? error : new TundError("INTERNAL", messageOf(error), { cause: error });
    this.#failures++;
    this.#failure = {
      code: failure.code,
      message: failure.message,
      at: timestamp(this.#options.clock.now()),
    };
    this.#log.warn({ code: failure.code, cause: failure.cause }, failure.message);
    this.#apply(eventOf[failure.code] ?? "lost");
    this.#settle((waiter) => waiter.reject(failure));
  }

  #settle(outcome: (waiter: Waiter) => void): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    waiters.forEach(outcome);
  }

  #apply(event: MasterEvent): void {
    const from = this.#state;
    const to = nextMasterState(from, event);
    if (to === from) return;
    this.#state = to;
    this.#since = this.#options.clock.now();
    this.#log.info({ from, to }, `master ${to}`);
    this.#enter(to);
  }

  #enter(state: MasterState): void {
    this.#retry?.timer.cancel();
    this.#retry = undefined;
    switch (state) {
      case "connecting":
        return this.#dial();
      case "ready":
        return this.#settle((waiter) => waiter.resolve());
      case "waiting":
        return this.#wait();
      case "closing":
        return this.#settle((waiter) => waiter.reject(this.#closing()));
      case "closed":
        return this.#end();
      case "blocked":
      case "failed":
        return undefined;
    }
  }

  #wait(): void {
    const { clock, random } = this.#options;
    const ms = backoff(this.#failures, random());
    this.#retry = { at: clock.now() + ms, timer: clock.after(ms, () => this.#apply("retry")) };
  }

  #close(): void {
    if (this.#connection === undefined) {
      this.#attempt.abort();
      return this.#apply("drained");
    }
    this.#connection.close();
    void this.#connection.closed.then(() => this.#apply("drained"));
    return undefined;
  }

  #closing(): TundError {
    const open = this.#carried.connections;
    return new TundError(
      "MASTER_CLOSING",
      `the master of ${this.config.host} is ending; ${open} connections are open`,
    );
  }
}
