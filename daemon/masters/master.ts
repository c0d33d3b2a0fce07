// The life of one master: it dials, holds the connection, carries forwards, and dials again when the link is lost.
import type { Master as MasterRecord } from "../../shared/records.ts";
import { failureOf, type TundError } from "../../shared/errors.ts";
import type { Forward } from "../forwards/forward.ts";
import type { Connection } from "../ssh/connection.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import { isUnresolved } from "../ssh/unresolved.ts";
import { Attempts } from "./attempts.ts";
import type { Carried, Follow, Passenger } from "./carried.ts";
import { Company, silentMember } from "./company.ts";
import type { Held, MasterOptions } from "./master-options.ts";
import { masterRecord } from "./record.ts";
import { isEnding, noLink } from "./refusals.ts";
import { Rest } from "./rest.ts";
import { Standing } from "./standing.ts";
import { eventOfFailure, isOver, type MasterEvent, type MasterState, outlookOf } from "./state.ts";
import { type Patience, Waiters } from "./waiters.ts";

export class Master {
  /** what it dials with; changes take effect at the next attempt */
  config: HostConfig;
  /** every host name that stands for this master */
  readonly names: Set<string>;
  /** the hosts that lead to it, nearest first */
  via: string[] = [];
  /** forwards of ssh_config that could not be set up, the last time that it was asked to */
  warnings: string[] = [];
  /** the names that are to be kept connected, whatever they carry */
  readonly keptBy = new Set<string>();
  /** those who wait for it */
  readonly company = new Company();
  /** whose it is alone */
  readonly held: Held | null;
  /** settles when the master has ended */
  readonly ended: Promise<void>;
  readonly #options: MasterOptions;
  readonly #carried: Carried;
  readonly #waiters = new Waiters();
  readonly #attempts: Attempts;
  readonly #rest: Rest;
  readonly #standing: Standing;
  #connection: Connection | undefined;
  #connects = 0;
  #end: () => void = () => undefined;

  constructor(options: MasterOptions) {
    const { carried, clock, held, names, isClaimed } = options;
    this.#options = options;
    this.config = options.config;
    [this.held, this.names, this.#carried] = [held, names, carried];
    this.#standing = new Standing(options);
    this.ended = new Promise((resolve) => (this.#end = () => resolve(this.company.end())));
    this.#attempts = new Attempts({
      ...options,
      onConnection: (connection) => this.#established(connection),
      onFailure: (error) => this.#failed(error),
    });
    const onRest = () => this.#drop("rest");
    this.#rest = new Rest({ carried, keptBy: this.keptBy, isClaimed, held, clock, onRest });
    if (this.state === "connecting") this.#attempts.start(this.config);
  }

  get state(): MasterState {
    return this.#standing.state;
  }

  /** Whether somebody waits for it to be ready. */
  get isAwaited(): boolean {
    return this.#waiters.any;
  }

  /** Whether it has forwards, or connections of whatever kind. */
  get isCarrying(): boolean {
    return this.forwards.length > 0 || this.#carried.connections > 0;
  }

  /** Whether nothing needs its link but the next connection to one of its forwards. */
  get isOnDemand(): boolean {
    return !this.#rest.isWanted;
  }

  /** What can be expected of the link. */
  get outlook(): ReturnType<typeof outlookOf> {
    return outlookOf(this.state);
  }

  /** What it carries; to be changed through the master's own methods. */
  get forwards(): Forward[] {
    return this.#carried.forwards;
  }

  /** @throws TundError MASTER_CLOSING when it takes nothing new any more */
  refuseWhenOver(): void {
    if (isOver(this.state)) throw this.#closing();
  }

  /** Has it dial with this from now on. */
  reconfigure(config: HostConfig): void {
    this.config = config;
    if (this.state === "connecting") this.#attempts.start(config);
  }

  /** Waits until channels can be opened, dialling now if need be. @throws TundError why not, and the reason of `signal` */
  async whenReady({ signal, member = silentMember }: Patience = {}): Promise<void> {
    this.refuseWhenOver();
    const leave = this.company.join(member);
    try {
      if (this.state === "ready") return;
      const outcome = this.#waiters.wait(signal);
      this.#apply("retry");
      if (member.isPerson) this.#options.onAwaited();
      await outcome;
    } finally {
      leave();
      if (signal?.aborted === true) this.#restUnlessNeeded();
    }
  }

  /** What stood in its way is gone: dials now, unless it has its link, needs none, or was refused. */
  retry(): void {
    if (this.state !== "idle" && this.#attempts.mayHurry) this.#apply("retry");
  }

  /** Dials if nothing needed it before: a connection waits. */
  want(): void {
    if (this.state === "idle") this.#apply("retry");
  }

  /** Drops the link, if there is one, and dials now. @throws TundError why the attempt failed, MASTER_CLOSING */
  async reconnect(patience: Patience): Promise<void> {
    this.refuseWhenOver(); // its connections were promised to live
    this.#attempts.abort();
    this.#attempts.forgive();
    this.#drop("lost");
    await this.whenReady(patience);
  }

  /** Has the link answer within the deadline, or ends it; dials now if it waits to: something happened to the network. */
  verify(deadlineMs: number): void {
    if (this.state === "waiting") this.retry();
    this.#connection?.verify(deadlineMs);
  }

  /** Its connection, to open channels on and to ask of the server. @throws TundError CONNECTION_LOST: why there is none */
  live(): Connection {
    const isOpen = this.state === "ready" || this.state === "closing";
    if (this.#connection !== undefined && isOpen) return this.#connection;
    throw noLink(this.config.host, this.state, this.#standing.failure);
  }

  /** Takes something into its care for as long as it has connections. */
  carry(passenger: Passenger): void {
    this.#carried.board(passenger);
  }

  /** Takes a forward into its care; `follow` is told of the next one that does. @throws TundError MASTER_CLOSING */
  adopt(forward: Forward, follow: Follow): void {
    this.refuseWhenOver();
    this.#carried.adopt(forward, follow);
  }

  /** Cancels a forward; settles when its listener is gone. Its established connections live on. */
  async cancel(forward: Forward): Promise<void> {
    await this.#carried.cancel(forward);
    this.considerRest();
  }

  /** To be called when what it is needed for has changed: one that serves on demand alone ends its idle link in time. */
  considerRest(): void {
    if (this.state === "ready") this.#rest.consider();
    else this.#rest.stop();
  }

  /** To be called when something that it carries has one connection less. */
  connectionEnded(): void {
    this.#carried.sweep();
    if (this.state === "closing" && this.#carried.connections === 0) this.#close();
    this.considerRest();
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
    return masterRecord(this, {
      connection: this.#connection,
      carried: this.#carried,
      since: this.#standing.since,
      retryAt: this.#attempts.retryAt,
      connects: this.#connects,
      failure: this.#standing.failure,
      outside: this.#options.outside(),
    });
  }

  #established(connection: Connection): void {
    this.#connection = connection;
    this.#connects++;
    void connection.closed.then((why) => this.#gone(connection, why));
    this.#apply("authenticated");
    this.#carried.linkReady();
    this.considerRest();
    this.#options.onReady(this);
  }

  // Only the current connection may speak: the late end of an old one must not knock down its successor.
  #gone(connection: Connection, why: TundError | undefined): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    this.#carried.linkLost();
    this.#attempts.lost();
    if (this.state !== "closing") this.#failed(why);
  }

  #failed(error: unknown): void {
    const failure = failureOf(error, this.#options.log);
    this.#standing.fail(failure);
    // In the state that it was lost in already: another attempt failed, and that is news too.
    if (!this.#apply(eventOfFailure(this.#attempts.codeOf(failure, this.config), this.#isNeeded)))
      this.#options.onChange(this);
    // It wanted a person, and one has come since.
    if (this.state === "blocked" && this.company.cameLate) return void this.#apply("retry");
    if (this.outlook === "gone") this.#carried.linkGone(failure);
    this.#waiters.fail(failure);
  }

  get #isNeeded(): boolean {
    // What is not resolved yet cannot even listen for the connection that would need it.
    return !this.isOnDemand || this.#waiters.any || isUnresolved(this.config);
  }

  // Whoever had it dial does not wait for it any longer.
  #restUnlessNeeded(): void {
    if (this.state !== "connecting" || this.#isNeeded) return;
    this.#attempts.abort();
    this.#apply("rest");
  }

  #drop(event: MasterEvent): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) this.#carried.linkLost();
    connection?.close();
    this.#apply(event);
  }

  #apply(event: MasterEvent): boolean {
    if (!this.#standing.apply(event)) return false;
    this.#enter(this.state);
    this.#options.onChange(this);
    return true;
  }

  #enter(state: MasterState): void {
    this.#attempts.cancelRetry();
    this.#rest.stop(); // it was of the link that was
    switch (state) {
      case "connecting":
        return this.#attempts.start(this.config);
      case "ready":
        return this.#waiters.succeed();
      case "waiting":
        return this.#attempts.retry(() => void this.#apply(this.#isNeeded ? "retry" : "rest"));
      case "closing":
        return this.#waiters.fail(this.#closing());
      case "closed":
        return this.#end();
      case "idle":
      case "blocked":
      case "failed":
        return undefined;
    }
  }

  #close(): void {
    if (this.#connection === undefined) {
      this.#attempts.abort();
      return void this.#apply("drained");
    }
    this.#connection.close();
    void this.#connection.closed.then(() => this.#apply("drained"));
    return undefined;
  }

  #closing(): TundError {
    return isEnding(this.config.host, this.#carried.connections);
  }
}
