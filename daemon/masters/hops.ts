// Hosts that lead to others (ProxyJump): each is a master like any other, shared by all who are behind it.
import type { Clock } from "../../shared/clock.ts";
import { asTundError, TundError } from "../../shared/errors.ts";
import { withinDeadline } from "../forwards/outbound.ts";
import { clockWithin } from "../ssh/current-host.ts";
import { channelWire, type Wire } from "../ssh/wire.ts";
import type { Caller } from "../ssh/caller.ts";
import type { Connection } from "../ssh/connection.ts";
import type { Around, CurrentHost } from "../ssh/current-host.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import { Outstanding } from "../ssh/outstanding.ts";
import { lapsed } from "../ssh/unanswered.ts";
import type { Hop } from "../ssh/way.ts";
import type { Attempt } from "./attempts.ts";
import { BackgroundLimit } from "./background-limit.ts";
import { waitForChannel } from "./channels.ts";
import type { Wanted } from "./claims.ts";
import { memberOf } from "./company.ts";
import type { Master } from "./master.ts";
import { Transaction } from "./transaction.ts";
import type { Patience } from "./waiters.ts";

/** Dials a host over a wire, if it has one, for whoever waits for it. @throws TundError why not */
export type DialOver = (attempt: Attempt & Over) => Promise<Connection>;

interface Over {
  wire: Wire | undefined;
  caller: Caller;
  /** whether a person waits for it, now */
  isAwaited: () => boolean;
  /** runs what is the host's */
  around: Around;
  /** what a person may still have to give for it */
  outstanding: Outstanding;
}

export interface HopsOptions {
  /** finds or makes the master of a hop, for as long as the transaction is open. @throws TundError when ssh_config cannot be resolved */
  acquire: (hop: Hop, wanted: Wanted) => Promise<Master>;
  /** called when nobody is behind a hop any more */
  release: (hop: Master) => void;
  current: CurrentHost;
  clock: Clock;
}

export class Hops {
  readonly #options: HopsOptions;
  /** the hop that each master behind one is reached by way of */
  readonly #leads = new Map<Master, Master>();
  /** who could not go on for want of its hop, and that one's name: it may have had no master yet */
  readonly #stranded = new Map<Master, string>();

  constructor(options: HopsOptions) {
    this.#options = options;
  }

  /**
   * The way to a master that is behind another one: a channel of that one, which is connected first if need be. `limit` is of
   * what comes then: the hop's own attempt has one.
   * @throws TundError why there is none, as the hop has it
   */
  async #wireTo(master: Master, hop: Hop, limit: BackgroundLimit): Promise<Wire> {
    const { signal } = limit;
    this.#stranded.delete(master);
    try {
      return await this.#along(signal, async (transaction) => {
        const { company, config } = master;
        const member = memberOf(company, config.environment);
        const lead = await this.#options.acquire(hop, { transaction, member });
        transaction.check();
        this.#follow(master, lead);
        await this.#ready(master, lead, signal);
        limit.begin();
        transaction.check();
        master.via = [...lead.via, lead.config.host];
        return this.#open(master.config, lead, transaction);
      });
    } catch (error) {
      if (!signal.aborted) this.#stranded.set(master, hop.name);
      throw byWayOf(hop, error);
    }
  }

  /** Dials a master, by way of its hop if it is behind one. @throws TundError why not */
  async dial(master: Master, attempt: Attempt, dial: DialOver): Promise<Connection> {
    const { config, signal } = attempt;
    const { company } = master;
    const around: Around = (run) => this.#options.current.run(master.names, run);
    const clock = clockWithin(this.#options.clock, around);
    const outstanding = new Outstanding();
    const { isAwaited } = company;
    const why = (minutes: number) => lapsed({ config, outstanding, clock, signal }, minutes);
    const limit = new BackgroundLimit({ clock, isAwaited, why, signal });
    const over = { ...attempt, signal: limit.signal, caller: company, isAwaited, around, outstanding };
    return limit.wait(this.#dialOver(master, { config, limit }, (wire) => dial({ ...over, wire })));
  }

  async #dialOver(
    master: Master,
    { config, limit }: { config: HostConfig; limit: BackgroundLimit },
    dial: (wire: Wire | undefined) => Promise<Connection>,
  ): Promise<Connection> {
    const { way } = config;
    master.company.begin();
    if (way.kind !== "jump") this.#goAlone(master);
    const wire = way.kind === "jump" ? await this.#wireTo(master, way.hop, limit) : undefined;
    if (wire === undefined) limit.begin();
    try {
      limit.signal.throwIfAborted();
      return await dial(wire);
    } catch (error) {
      wire?.destroy();
      throw error;
    }
  }

  /** As #wireTo(), for somebody who only wants a look; the hop goes again with the wire if nobody else needs it. */
  async wireFor(config: HostConfig, hop: Hop, patience: Patience): Promise<Wire> {
    try {
      return await this.#along(patience.signal, async (transaction) => {
        const { member } = patience;
        const lead = await this.#options.acquire(hop, { transaction, ...(member && { member }) });
        await lead.whenReady(patience);
        return this.#open(config, lead, transaction);
      });
    } catch (error) {
      throw byWayOf(hop, error);
    }
  }

  // The hop is claimed until there is the way: by then it is needed for that, or it is not needed.
  async #along(
    signal: AbortSignal | undefined,
    act: (transaction: Transaction) => Promise<Wire>,
  ): Promise<Wire> {
    const transaction = new Transaction(signal);
    let wire: Wire | undefined;
    try {
      return await transaction.run(async () => (wire = await act(transaction)));
    } catch (error) {
      wire?.destroy();
      throw error;
    } finally {
      await transaction.rollback();
    }
  }

  /** A master has its link: who was stopped by its being away goes on. */
  readied(lead: Master): void {
    for (const [master, hop] of this.#stranded)
      if (this.#leads.get(master) === lead || lead.names.has(hop)) {
        this.#stranded.delete(master);
        master.retry();
      }
  }

  /** A master does not need its hop any more: it has ended, or is at rest. */
  leave(master: Master): void {
    const lead = this.#leads.get(master);
    this.#leads.delete(master);
    this.#stranded.delete(master);
    if (lead !== undefined && !this.isHop(lead)) this.#options.release(lead);
  }

  // It may have been behind one before.
  #goAlone(master: Master): void {
    master.via = [];
    this.leave(master);
  }

  /** Whether a master is dialled over nothing that has to be started, or be there, first. */
  isOpen(master: Master): boolean {
    const { way } = master.config;
    return way.kind === "direct" || (way.kind === "jump" && this.#leads.get(master)?.state === "ready");
  }

  /** Whether others are reached by way of it. */
  isHop(master: Master): boolean {
    return [...this.#leads.values()].includes(master);
  }

  #follow(master: Master, lead: Master): void {
    const before = this.#leads.get(master);
    this.#leads.set(master, lead);
    if (before !== undefined && before !== lead && !this.isHop(before)) this.#options.release(before);
    for (let at: Master | undefined = lead; at !== undefined; at = this.#leads.get(at))
      if (at === master) {
        this.#leads.delete(master);
        if (!this.isHop(lead)) this.#options.release(lead);
        throw new TundError(
          "HOST_CONFIG_FAILED",
          `ProxyJump goes in a circle: ${master.config.host} is reached by way of itself`,
        );
      }
  }

  // One that waits to dial again is not hurried by everyone behind it, unless a person waits there.
  async #ready(master: Master, lead: Master, signal: AbortSignal): Promise<void> {
    if (master.isAwaited || ["ready", "connecting", "idle"].includes(lead.state))
      return lead.whenReady({ member: memberOf(master.company), signal });
    const { failure, state } = lead.snapshot();
    throw new TundError(
      failure?.code ?? "CONNECTION_LOST",
      `its master is ${state}${failure === null ? "" : `: ${failure.message}`}`,
    );
  }

  async #open(config: HostConfig, lead: Master, transaction: Transaction): Promise<Wire> {
    const { hostname, port, connectTimeoutMs, isConnectTimeoutSet } = config;
    const deadlineMs = isConnectTimeoutSet ? connectTimeoutMs : Infinity;
    let wire: Wire | undefined;
    const passenger = { connections: 1, dropConnections: () => void wire?.destroy() };
    const left = () => {
      passenger.connections = 0;
      lead.connectionEnded();
      this.#options.release(lead);
    };
    lead.carry(passenger);
    try {
      const opening = lead.live().openChannel({ address: "127.0.0.1", port: 0 }, { host: hostname, port });
      const channel = await waitForChannel(
        withinDeadline(opening, this.#options.clock, deadlineMs),
        transaction,
      );
      wire = channelWire(channel, left);
      return wire;
    } catch (error) {
      left();
      const { code, message } = asTundError(error);
      // That the hop cannot lead there may pass, as an unreachable network may.
      const isRefusal = code.startsWith("CHANNEL_");
      throw new TundError(isRefusal ? "HOST_UNREACHABLE" : code, message, { cause: error });
    }
  }
}

function byWayOf({ name }: Hop, error: unknown): TundError {
  const { code, message, cause, details } = asTundError(error);
  return new TundError(code, `by way of ${name}: ${message}`, { cause, ...(details && { details }) });
}
