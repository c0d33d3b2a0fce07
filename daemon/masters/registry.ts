// All masters and what they carry, in the API's own verbs: all that the control API (or whatever else drives tund) sees.
import type { Socket } from "node:net";
import type {
  CancelRequest,
  ConnectRequest,
  OpenRequest,
  Resolved,
  StdioRequest,
} from "../../shared/contract.ts";
import type { Held, HoldRequest } from "../../shared/holds.ts";
import type {
  Check,
  ConnectionOptions,
  Forward as ForwardRecord,
  Master as MasterRecord,
} from "../../shared/records.ts";
import { failureOf } from "../../shared/errors.ts";
import { parseStdioDestination } from "../../shared/forward-spec.ts";
import type { Forward } from "../forwards/forward.ts";
import { type ListenerKeeper, noKeeper } from "../forwards/listener-keeper.ts";
import type { Outside } from "../ssh/outside.ts";
import type { ParkingLimits } from "../forwards/parking.ts";
import type { SavedHost } from "../saved-state.ts";
import { inSlices } from "../slices.ts";
import type { Store } from "../store.ts";
import { cancelChosen, endMaster } from "./cancelling.ts";
import { openConfigured } from "./configured.ts";
import { Conversations } from "./conversations.ts";
import { Desired } from "./desired.ts";
import { Inspection } from "./inspection.ts";
import { Journal, type Listener } from "./journal.ts";
import { type ConnectionFigures, connectionFigures, type Traffic, trafficOf } from "./figures.ts";
import { Holding } from "./holding.ts";
import type { House } from "./house.ts";
import { Measures } from "./measures.ts";
import { readied } from "./readied.ts";
import { openRequested } from "./requested.ts";
import { restoreHost, settleHost } from "./restoring.ts";
import { Roster } from "./roster.ts";
import type { RosterOptions } from "./roster-options.ts";
import { byName, chosenBy } from "./selection.ts";
import { isAway } from "./state.ts";
import { StdioTickets } from "./stdio-tickets.ts";
import type { Transaction } from "./transaction.ts";
import { Totals } from "./totals.ts";
import { type Watch, watch } from "./watching.ts";

const CHECK_DEADLINE_MS = 10_000;
const VERIFY_DEADLINE_MS = 5000;

export interface RegistryOptions extends RosterOptions, Outside {
  store: Pick<Store, "save">;
  parking: ParkingLimits;
  /** who keeps listeners of this machine while the daemon is restarted */
  keeper?: ListenerKeeper;
  /** whether a connection may stay that has just got its descriptor; one that may not is closed */
  admits?: (socket: Socket) => boolean;
}

export class Registry {
  /** with those who ask for logins */
  readonly conversations = new Conversations();
  readonly inspection: Inspection;
  /** masters as `ssh -M` has them */
  readonly holding: Holding;
  readonly measures: Measures;
  readonly #options: RegistryOptions;
  readonly #roster: Roster;
  readonly #desired: Desired;
  readonly #stdio: StdioTickets;
  readonly #journal: Journal;
  readonly #house: House;
  readonly #totals = new Totals();
  /** hosts that are given the forwards of their ssh_config whenever they are ready, and kept: the configuration says so */
  readonly #configured = new Set<string>();
  /** the port that was saved with a forward */
  readonly #savedPorts = new WeakMap<Forward, number | null>();

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#roster = new Roster(options, {
      onReady: (master) => readied(master, this.#configured, this.#house),
      onChange: (master) => this.#journal.masterChanged(master),
      onResolved: (named, before) => settleHost(named, before, this.#house),
    });
    const { conversations } = this;
    this.measures = new Measures(this.#roster, this.#totals, options.slices);
    this.inspection = new Inspection({ ...options, roster: this.#roster, conversations });
    this.#desired = new Desired(this.#roster, options);
    this.#stdio = new StdioTickets(options.clock);
    this.#journal = new Journal(options.clock);
    const { clock, log, parking, files, resolver, keeper = noKeeper, admits = () => true } = options;
    this.#house = {
      roster: this.#roster,
      desired: this.#desired,
      everywhere: () => this.#forwardsOf(),
      onChange: (forward) => this.#changed(forward),
      clock,
      log,
      parking,
      files,
      resolver,
      keeper,
      admits,
    };
    this.holding = new Holding({ house: this.#house, conversations, resolve: options.resolve });
  }

  /** Puts back what an earlier daemon had saved; it is set up again as far and as soon as it can be. */
  restore(saved: readonly SavedHost[]): void {
    for (const host of saved) restoreHost(host, this.#house);
    this.#desired.restored();
  }

  /**
   * Connects a host and keeps it connected, with the forwards that its ssh_config asks for.
   * @param given the command that it is part of, which ends when it is answered; without one it is answered at once
   * @throws TundError why it could not be; a master that was not there before is not left then
   */
  connect(
    host: string,
    { connection, caller, timeoutSeconds: seconds }: ConnectRequest = {},
    given?: Transaction,
  ): Promise<MasterRecord> {
    const act = async (transaction: Transaction) => {
      const member = this.conversations.member(caller, host, transaction.signal);
      const named = await this.#roster.claims.readyAnew(host, connection, { member, transaction });
      if (connection?.controlPath !== undefined) this.#roster.names.refuseMuxTrouble(host);
      await openConfigured(named, true, this.#house, transaction);
      await this.#desired.keep(named, transaction);
      return named.master.snapshot();
    };
    return this.#desired.carryOut(given, act, { seconds, undone: `${host} was not connected` });
  }

  /** Keeps a host connected because the configuration says so, whether or not it can be reached now. */
  keep(host: string): void {
    this.#configured.add(host);
    const named = this.#roster.names.get(host) ?? this.#roster.reserve(host);
    named.intent.settle({ isConfigured: true, isAcknowledged: true });
    named.keepMaster();
    named.master.want();
  }

  async masters(): Promise<MasterRecord[]> {
    const records = await inSlices(this.#options.slices, this.#roster.masters, (master) => master.snapshot());
    return records.filter(({ state }) => state !== "closed");
  }

  /** @throws TundError NOT_FOUND */
  async master(host: string): Promise<MasterRecord> {
    return this.#roster.named(host).snapshot();
  }

  /** Probes the link itself. @throws TundError NOT_FOUND, PROBE_TIMEOUT, CONNECTION_LOST */
  async check(host: string): Promise<Check> {
    const master = this.#roster.named(host);
    const roundTripMs = await master.live().probe(CHECK_DEADLINE_MS);
    return { host, pid: master.snapshot().pid, roundTripMs };
  }

  /** What there is to be told of a host's connection. @throws TundError NOT_FOUND, CONNECTION_LOST */
  async describe(host: string): Promise<ConnectionFigures> {
    return connectionFigures(this.#roster.named(host), this.#options.clock.now());
  }

  /** A host's forwards, and who is connected to them. @throws TundError NOT_FOUND */
  async traffic(host: string): Promise<Traffic> {
    return trafficOf(this.#roster.named(host));
  }

  /**
   * Drops the link and dials now; answers when it is ready.
   * @throws TundError NOT_FOUND, or why it is not ready; MASTER_CLOSING for one that lives for its connections alone
   */
  reconnect(host: string, given?: Transaction): Promise<MasterRecord> {
    return this.#desired.carryOut(given, async (transaction) =>
      (await this.#roster.claims.reconnect(host, transaction)).snapshot(),
    );
  }

  /** Has every link show that it is alive, and dials those now that wait to: something happened to the network. */
  verifyLinks(): void {
    for (const master of this.#roster.masters) master.verify(VERIFY_DEADLINE_MS);
  }

  /** Dials hosts that have no link and want one, as ssh_config is now; nobody waits for it. */
  redial(): void {
    const { suspects } = this.#options;
    for (const { host, master } of this.#roster.names.all.values()) {
      const isDue = () => isAway(master.state) && suspects.lastOf(host) === null;
      if (isDue()) this.#roster.claims.redial(host, isDue);
    }
  }

  /** Cancels all forwards of a master, which ends when its last channel has. @throws TundError NOT_FOUND, STATE_NOT_SAVED */
  async stop(host: string): Promise<MasterRecord> {
    const master = await endMaster(host, (found) => found.stop(), this.#house);
    return master.snapshot();
  }

  /** Ends a master at once; answers when it has ended. @throws TundError NOT_FOUND, STATE_NOT_SAVED */
  async exit(host: string): Promise<MasterRecord> {
    const master = await endMaster(host, (found) => found.exit(), this.#house);
    await master.ended;
    return master.snapshot();
  }

  /** What ssh_config means for a host; nothing is dialled. @throws TundError HOST_CONFIG_FAILED, SSH_NOT_FOUND, UNSUPPORTED */
  async resolve(host: string, options?: ConnectionOptions): Promise<Resolved> {
    const { hostname, user, port, controlPath, forwarding } = await this.#options.resolve(host, options);
    const { configured: forwards, clearAll, exitOnFailure } = forwarding;
    const reached = { host, hostname, user, port, controlPath };
    return { ...reached, forwards, clearAllForwardings: clearAll, exitOnForwardFailure: exitOnFailure };
  }

  /** Every forward, or those of one master. @throws TundError NOT_FOUND */
  async forwards(host?: string): Promise<ForwardRecord[]> {
    const records = await inSlices(this.#options.slices, this.#forwardsOf(host), (forward) =>
      forward.snapshot(),
    );
    return records.filter(({ state }) => state !== "closing" && state !== "closed"); // one was cancelled meanwhile
  }

  /** @param id its id or its name @throws TundError NOT_FOUND */
  async forward(id: string): Promise<ForwardRecord> {
    return byName(this.#forwardsOf(), id).snapshot();
  }

  /** Sets up forwards, all or none; an identical one that stands is taken as it is. @throws TundError why not */
  openForwards(request: OpenRequest, given?: Transaction): Promise<ForwardRecord[]> {
    const { host, caller, timeoutSeconds: seconds } = request;
    const by = ({ signal }: Transaction) => this.conversations.member(caller, host, signal);
    const act = (change: Transaction) => openRequested(request, by(change), this.#house, change);
    return this.#desired.carryOut(given, act, { seconds, undone: `no forward was set up on ${host}` });
  }

  /**
   * Cancels what the request names: all of it, or none if any of it is not there.
   * @throws TundError NOT_FOUND, INVALID_REQUEST, STATE_NOT_SAVED
   */
  async cancel(request: CancelRequest): Promise<ForwardRecord[]> {
    const chosen = chosenBy(request, this.#forwardsOf(request.host));
    const cancelled = await cancelChosen(chosen, request.drainSeconds, this.#house);
    return inSlices(this.#options.slices, cancelled, (forward) => forward.snapshot());
  }

  /**
   * Tells how everything is, or one host and its forwards, and then of every change as it happens.
   * @throws TundError NOT_FOUND
   */
  async watch(host: string | undefined, listener: Listener): Promise<Watch> {
    const { slices } = this.#options;
    return watch(host, listener, { journal: this.#journal, names: this.#roster.names, slices });
  }

  /** Opens a channel for a caller's own stdin and stdout: the ticket to claim it with. @throws TundError why not */
  openStdio(request: StdioRequest, given?: Transaction): Promise<string> {
    const { host, destination, connection, caller } = request;
    return this.#desired.carryOut(given, async (transaction) => {
      parseStdioDestination(destination);
      const member = this.conversations.member(caller, host, transaction.signal);
      const { master } = await this.#roster.claims.ready(host, connection, { member, transaction });
      return this.#stdio.open(master, destination, transaction);
    });
  }

  /** Makes a master of a host that is its holder's alone. @throws TundError why not; nothing is left of it then */
  hold(host: string, request: HoldRequest, given?: Transaction): Promise<Held> {
    return this.#desired.carryOut(given, (transaction) => this.holding.hold(host, request, transaction));
  }

  /** What joins a caller's connection to the channel that waits for it; undefined when the ticket is not good (any more). */
  takeStdio(ticket: string): ((socket: Socket) => void) | undefined {
    return this.#stdio.take(ticket);
  }

  /** Stops accepting everywhere, lets channels end for up to `drainMs`, then ends every master. */
  async close(drainMs: number): Promise<void> {
    await this.#roster.close(drainMs);
    this.#journal.end();
  }

  // The port that the server chose is asked for again when the daemon comes back; nobody waits for that to be saved.
  #changed(forward: Forward): void {
    this.#totals.note(forward);
    this.#journal.forwardChanged(forward);
    if (!forward.isPersistent || (this.#savedPorts.get(forward) ?? null) === forward.allocatedPort) return;
    this.#savedPorts.set(forward, forward.allocatedPort);
    this.#desired.save().catch((error: unknown) => {
      const { message } = failureOf(error, this.#options.log);
      if (!this.#roster.isClosing) this.#options.log.warn({ forward: forward.id }, message);
    });
  }

  #forwardsOf(host?: string): Forward[] {
    const masters = host === undefined ? this.#roster.masters : [this.#roster.named(host)];
    return masters.flatMap((master) => master.forwards);
  }
}
