// A forward of any kind: its state, and what it is asked. What sets the kinds apart is its point.
import { type Clock, type Timer, timestamp } from "../../shared/clock.ts";
import type { Forward as ForwardRecord } from "../../shared/records.ts";
import { failureOf, messageOf, TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Originator } from "../ssh/channel.ts";
import { Connections } from "./connections.ts";
import { failureRecord } from "./failure-record.ts";
import { Intent } from "./intent.ts";
import type { Parking } from "./parking.ts";
import { leftover, type Listening, type Point } from "./point.ts";
import { explainRefusal, patience, retryAfter } from "./retry.ts";
import type { SettledSpec } from "./settled.ts";
import { type ForwardEvent, type ForwardState, nextForwardState } from "./state.ts";

/** What its user wants of it, besides where it leads. */
export interface Wishes {
  /** -g was given */
  gatewayPorts: boolean;
  onDemand: boolean;
  idleSeconds: number | null;
}

/** What commands want of it. */
export interface ForwardIntent {
  /** what its user calls it */
  name: string | null;
  /** part of the desired state: it comes back when the daemon does */
  isPersistent: boolean;
  /** somebody was told that it is there: it heals by itself */
  isPromised: boolean;
}

export interface ForwardOptions {
  id: string;
  /** the host as its user named it */
  host: string;
  spec: SettledSpec;
  wishes: Wishes;
  point: Point;
  parking: Parking;
  /** the port that the server chose in an earlier life of the daemon */
  allocatedPort: number | null;
  clock: Clock;
  log: Log;
  /** called when a connection has ended */
  onConnectionEnd: () => void;
  /** called when anything but a counter has changed */
  onChange: (forward: Forward) => void;
}

export class Forward {
  readonly id: string;
  readonly host: string;
  readonly spec: SettledSpec;
  readonly wishes: Wishes;
  readonly intent = new Intent<ForwardIntent>({ name: null, isPersistent: false, isPromised: false });
  readonly #options: ForwardOptions;
  readonly #connections: Connections;
  #state: ForwardState = "pending";
  #since: number;
  #failure: ForwardRecord["failure"] = null;
  #listening: Listening | undefined;
  #opening: Promise<void> | undefined;
  /** how often it had to begin anew: what an earlier link brings late is not heard */
  #beginnings = 0;
  #allocatedPort: number | null;
  #wasActive = false;
  #refusals = 0;
  #retry: { at: number; timer: Timer } | undefined;

  constructor(options: ForwardOptions) {
    this.#options = options;
    this.id = options.id;
    this.host = options.host;
    this.spec = options.spec;
    this.wishes = options.wishes;
    this.#allocatedPort = options.allocatedPort;
    this.#since = options.clock.now();
    this.#connections = new Connections({
      onFailure: ({ originator }, error) => {
        const failure = failureOf(error, options.log);
        this.#fail(failure);
        const { code, message } = failure;
        options.log.info({ from: originator, code, error: message }, "connection failed");
        options.onChange(this);
      },
      onEnd: () => {
        options.onConnectionEnd();
        this.#endIfDrained();
      },
    });
  }

  get name(): string | null {
    return this.intent.value.name;
  }

  get isPersistent(): boolean {
    return this.intent.value.isPersistent;
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

  /** Who is connected: those of a cancelled forward live on. */
  get originators(): Originator[] {
    return this.#connections.originators;
  }

  /** What its connections came to: how many got a channel, how many did not, by error code, and the bytes. */
  get totals(): Pick<Connections, "failedBy" | "bytes"> & { opened: number } {
    const { failedBy, bytes, counts } = this.#connections;
    return { opened: counts.total, failedBy, bytes };
  }

  /** Connections that have a channel. */
  get open(): number {
    return this.#connections.open;
  }

  /** Connections that wait for the link. */
  get parked(): number {
    return this.#options.parking.parked;
  }

  /** The addresses and paths that listen. */
  get boundTo(): readonly string[] {
    return this.#listening?.boundTo ?? [];
  }

  /** Starts to accept; a second call waits for the first. @throws TundError BIND_IN_USE, BIND_FAILED, FORWARD_REFUSED */
  listen(): Promise<void> {
    this.#opening ??= this.#listen();
    return this.#opening;
  }

  /** As listen(), for who does not wait: why not stands in the forward itself. */
  listenInTime(): void {
    const { log } = this.#options;
    this.listen().catch((error: unknown) => {
      const { code, message } = failureOf(error, log);
      log.warn({ code, error: message }, "not listening");
    });
  }

  /** To be called when the link is lost: connections end, and a listener on the server is gone. */
  linkLost(): void {
    if (!this.#options.point.isRemote) return this.#connections.dropJoined();
    this.#connections.drop();
    this.#listening = undefined;
    this.#opening = undefined;
    this.#beginnings++;
    this.#stopRetrying();
    return this.#enter("unbound");
  }

  /** To be called when there is a new link: who waits is served, and what the server listened on is asked for again. */
  linkReady(): void {
    this.#options.parking.serve();
    this.#refusals = 0;
    if (this.#options.point.isRemote) this.listenInTime();
  }

  /** To be called when the link will not come back by itself: nobody waits for it any longer. */
  linkGone(why: TundError): void {
    this.#options.parking.refuse(why);
  }

  /** It is not tried until somebody wants it: why stands in it. */
  refuse(why: TundError): void {
    this.#fail(why);
    this.#enter("refused");
  }

  /** Stops accepting; settles when the listener is gone. Established connections live on. */
  async stopAccepting(): Promise<void> {
    this.#stopRetrying();
    this.#enter("close");
    this.#options.parking.refuse(new TundError("CONNECTION_LOST", "the forward was cancelled"));
    const [listening, opening] = [this.#listening, this.#opening];
    this.#listening = undefined;
    this.#endIfDrained();
    await opening?.catch(() => undefined); // what is under way is taken away as soon as it is there
    try {
      await listening?.close();
    } catch (error) {
      this.#options.log.warn({ error: messageOf(error) }, "the listener could not be taken away in order");
      this.#listening = leftover(messageOf(error));
    }
  }

  /** Ends every connection, established or not. */
  dropConnections(): void {
    this.#connections.drop();
  }

  /** The forward as it stands on the wire. */
  snapshot(): ForwardRecord {
    const { kind, text, bind, destination } = this.spec;
    return {
      id: this.id,
      name: this.name,
      host: this.host,
      kind,
      spec: text,
      bind,
      destination,
      allocatedPort: this.#allocatedPort,
      boundTo: [...this.boundTo],
      state: this.#state,
      since: timestamp(this.#since),
      failure: this.#failure,
      retryAt: this.#retry === undefined ? null : timestamp(this.#retry.at),
      warnings: [...(this.#listening?.warnings ?? [])],
      persistent: this.isPersistent,
      onDemand: this.wishes.onDemand,
      idleSeconds: this.wishes.idleSeconds,
      channels: { ...this.#connections.counts, parked: this.#options.parking.parked },
      bytes: { ...this.#connections.bytes },
    };
  }

  async #listen(): Promise<void> {
    const { point, log } = this.#options;
    const beginning = this.#beginnings;
    this.#stopRetrying();
    this.#enter("retry");
    try {
      // The port of before is asked for first; a server that does not give it up in time may choose another.
      const again = this.#refusals < patience ? this.#allocatedPort : null;
      const listening = await point.listen((incoming) => this.#connections.accept(incoming), again);
      // Cancelled meanwhile: nobody is left who would close it.
      if (this.#state !== "pending" || beginning !== this.#beginnings) return await listening.close();
      this.#listening = listening;
      this.#allocatedPort = listening.allocatedPort;
      this.#refusals = 0;
      this.#wasActive = true;
      this.#enter("bound");
      log.info({ boundTo: listening.boundTo }, `listening for ${this.spec.text}`);
    } catch (error) {
      if (beginning !== this.#beginnings) throw error;
      this.#opening = undefined;
      this.#refused(error);
      throw error;
    }
  }

  #refused(error: unknown): void {
    const failure = failureOf(error, this.#options.log);
    this.#fail(this.#wasActive ? explainRefusal(failure, this.spec) : failure);
    // Without a link there is nobody to ask: it is asked for again when there is one.
    if (this.#options.point.isRemote && failure.code === "CONNECTION_LOST")
      return this.#options.onChange(this);
    this.#refusals++;
    this.#enter("refused");
    return this.intent.acknowledged.isPromised ? this.retryLater() : undefined;
  }

  /** Tries again by itself if it has failed: to be called when it has been promised. */
  retryLater(): void {
    if (this.#state !== "failed" || this.#retry !== undefined) return;
    const { clock, onChange } = this.#options;
    const ms = retryAfter(this.#refusals);
    this.#retry = { at: clock.now() + ms, timer: clock.after(ms, () => this.listenInTime()) };
    onChange(this);
  }

  #stopRetrying(): void {
    this.#retry?.timer.cancel();
    this.#retry = undefined;
  }

  #fail(failure: TundError): void {
    this.#failure = failureRecord(failure, this.#options.clock.now());
  }

  #endIfDrained(): void {
    if (this.#state === "closing" && this.#connections.size === 0) this.#enter("drained");
  }

  #enter(event: ForwardEvent): void {
    const state = nextForwardState(this.#state, event);
    if (state === this.#state) return;
    this.#state = state;
    this.#since = this.#options.clock.now();
    this.#options.onChange(this);
  }
}
