// All masters and what they carry, in the API's own verbs: all that the control API (or whatever else drives tund) sees.
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import type {
  CancelRequest,
  Check,
  ConnectionOptions,
  Forward as ForwardRecord,
  Master as MasterRecord,
  OpenRequest,
  Resolved,
} from "../../shared/contract.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import {
  type ForwardSpec,
  parseForwardPattern,
  parseForwardSpec,
  parseStdioDestination,
} from "../../shared/forward-spec.ts";
import type { Forward } from "../forwards/forward.ts";
import { withinDeadline } from "../forwards/outbound.ts";
import { Stdio } from "../forwards/stdio.ts";
import type { Master } from "./master.ts";
import { openForwards, type Wanted } from "./opening.ts";
import { type Named, Roster, type RosterOptions } from "./roster.ts";
import { select } from "./selection.ts";

const CHECK_DEADLINE_MS = 10_000;
const CANCEL_DEADLINE_MS = 5000;

export class Registry {
  readonly #options: RosterOptions;
  readonly #roster: Roster;
  /** masters to be given the forwards of their ssh_config whenever they are ready, by the name that asked */
  readonly #configured = new WeakMap<Master, string>();
  /** open channels that wait for their callers, by ticket */
  readonly #stdio = new Map<string, Stdio>();

  constructor(options: RosterOptions) {
    this.#options = options;
    this.#roster = new Roster(options, (master) => this.#readied(master));
  }

  /**
   * Connects a host and keeps it connected, with the forwards that its ssh_config asks for.
   * @throws TundError why it could not be; a master that was not there before is not left then
   */
  async connect(host: string, options?: ConnectionOptions): Promise<MasterRecord> {
    const known = this.#roster.masters;
    const named = await this.#roster.readyAnew(host, options);
    const { master } = named;
    try {
      await this.#openConfigured(named, host);
    } catch (error) {
      if (!known.includes(master)) master.exit();
      throw error;
    }
    return master.snapshot();
  }

  /** Keeps a host connected, whether or not it can be reached now. @throws TundError when ssh_config cannot be resolved */
  async keep(host: string): Promise<void> {
    this.#configured.set(await this.#roster.keep(host), host);
  }

  async masters(): Promise<MasterRecord[]> {
    return this.#roster.masters.map((master) => master.snapshot());
  }

  /** @throws TundError NOT_FOUND */
  async master(host: string): Promise<MasterRecord> {
    return this.#roster.named(host).snapshot();
  }

  /** Probes the link itself. @throws TundError NOT_FOUND, PROBE_TIMEOUT, CONNECTION_LOST */
  async check(host: string): Promise<Check> {
    const roundTripMs = await this.#roster.named(host).probe(CHECK_DEADLINE_MS);
    return { host, pid: this.#options.pid, roundTripMs };
  }

  /** Cancels all forwards of a master, which ends when its last channel has. @throws TundError NOT_FOUND */
  async stop(host: string): Promise<MasterRecord> {
    const master = this.#roster.named(host);
    master.stop();
    return master.snapshot();
  }

  /** Ends a master at once; answers when it has ended. @throws TundError NOT_FOUND */
  async exit(host: string): Promise<MasterRecord> {
    const master = this.#roster.named(host);
    master.exit();
    await master.ended;
    return master.snapshot();
  }

  /** What ssh_config means for a host; nothing is dialled. @throws TundError HOST_CONFIG_FAILED, SSH_NOT_FOUND, UNSUPPORTED */
  async resolve(host: string, options?: ConnectionOptions): Promise<Resolved> {
    const { hostname, user, port, forwarding } = await this.#options.resolve(host, options);
    const {
      configured: forwards,
      clearAll: clearAllForwardings,
      exitOnFailure: exitOnForwardFailure,
    } = forwarding;
    return { host, hostname, user, port, forwards, clearAllForwardings, exitOnForwardFailure };
  }

  /** Every forward, or those of one master. @throws TundError NOT_FOUND */
  async forwards(host?: string): Promise<ForwardRecord[]> {
    return this.#forwardsOf(host).map((forward) => forward.snapshot());
  }

  /** @throws TundError NOT_FOUND */
  async forward(id: string): Promise<ForwardRecord> {
    return this.#find(id).forward.snapshot();
  }

  /** Sets up forwards, all or none; an identical one that stands is taken as it is. @throws TundError why not */
  async openForwards({ host, connection, forwards, gatewayPorts }: OpenRequest): Promise<ForwardRecord[]> {
    const specs = parsed(forwards);
    const { master, forwarding } = await this.#roster.ready(host, connection);
    const gateway = { gatewayPorts: gatewayPorts ?? forwarding.gatewayPorts };
    return this.#open(master, { host, specs, forwarding: { ...forwarding, ...gateway } });
  }

  /** Cancels what the request names: all of it, or none if any of it is not there. @throws TundError NOT_FOUND, INVALID_REQUEST */
  async cancel(request: CancelRequest): Promise<ForwardRecord[]> {
    const { clock } = this.#options;
    const chosen = this.#chosenBy(request);
    await Promise.all(
      chosen.map((forward) => {
        const { master } = this.#find(forward.id);
        this.#options.log.info({ host: forward.host, forward: forward.id }, `cancelled ${forward.spec.text}`);
        // A frozen server must not hold up the answer: the forward is forgotten here either way.
        const patience = new Promise<void>((resolve) => clock.after(CANCEL_DEADLINE_MS, resolve));
        return Promise.race([master.cancel(forward), patience]);
      }),
    );
    const { drainSeconds } = request;
    if (drainSeconds !== undefined)
      clock.after(drainSeconds * 1000, () => chosen.forEach((forward) => forward.dropConnections()));
    return chosen.map((forward) => forward.snapshot());
  }

  /** Opens a channel for a caller's own stdin and stdout: the ticket to claim it with. @throws TundError why not */
  async openStdio(host: string, to: string, options?: ConnectionOptions): Promise<string> {
    const destination = parseStdioDestination(to);
    const { master } = await this.#roster.ready(host, options);
    const { clock } = this.#options;
    const channel = await withinDeadline(
      master.openChannel({ address: "127.0.0.1", port: 0 }, destination),
      clock,
    );
    const ticket = randomBytes(18).toString("base64url");
    const stdio = new Stdio(channel, clock, () => {
      this.#stdio.delete(ticket);
      master.connectionEnded();
    });
    this.#stdio.set(ticket, stdio);
    master.carry(stdio);
    return ticket;
  }

  /** What joins a caller's connection to the channel that waits for it; undefined when the ticket is not good (any more). */
  takeStdio(ticket: string): ((socket: Socket) => void) | undefined {
    const stdio = this.#stdio.get(ticket);
    this.#stdio.delete(ticket);
    return stdio && ((socket) => stdio.claim(socket));
  }

  /** Stops accepting everywhere, lets channels end for up to `drainMs`, then ends every master. */
  close(drainMs: number): Promise<void> {
    return this.#roster.close(drainMs);
  }

  #readied(master: Master): void {
    const host = this.#configured.get(master);
    const forwarding = host === undefined ? undefined : this.#roster.forwardingOf(host);
    if (host === undefined || forwarding === undefined) return;
    this.#openConfigured({ master, forwarding }, host).catch((error: unknown) =>
      master.warnings.push(messageOf(error)),
    );
  }

  async #open(master: Master, wanted: Wanted): Promise<ForwardRecord[]> {
    const { clock, log } = this.#options;
    const opened = await openForwards(master, wanted, { everywhere: () => this.#forwardsOf(), clock, log });
    return opened.map((forward) => forward.snapshot());
  }

  // As ssh does: those that cannot be are told and left out, unless ExitOnForwardFailure makes them everybody's failure.
  async #openConfigured({ master, forwarding }: Named, host: string): Promise<void> {
    const { configured, clearAll, exitOnFailure } = forwarding;
    master.warnings = [];
    if (clearAll || configured.length === 0) return;
    if (exitOnFailure)
      return void (await this.#open(master, { host, specs: parsed(configured), forwarding }));
    for (const forward of configured)
      await this.#open(master, { host, specs: parsed([forward]), forwarding }).catch((error: unknown) => {
        master.warnings.push(`${forward.kind} forward ${forward.spec} of ssh_config: ${messageOf(error)}`);
      });
  }

  #chosenBy({ host, ids = [], forwards = [], all = false }: CancelRequest): Forward[] {
    if (ids.length === 0 && forwards.length === 0 && !all)
      throw new TundError("INVALID_REQUEST", "nothing to cancel: name forwards, ids, or all");
    if (forwards.length > 0 && host === undefined)
      throw new TundError("INVALID_REQUEST", "host is missing: a spec names a forward of one host");
    const known = this.#forwardsOf(host);
    const chosen = new Set(all ? known : []);
    for (const id of ids) {
      const forward = known.find((each) => each.id === id);
      if (forward === undefined) throw noForward(id, host);
      chosen.add(forward);
    }
    for (const { kind, spec } of forwards)
      chosen.add(select(known, parseForwardPattern(kind, spec), host ?? ""));
    return [...chosen];
  }

  #forwardsOf(host?: string): Forward[] {
    const masters = host === undefined ? this.#roster.masters : [this.#roster.named(host)];
    return masters.flatMap((master) => master.forwards);
  }

  #find(id: string): { master: Master; forward: Forward } {
    for (const master of this.#roster.masters) {
      const forward = master.forwards.find((each) => each.id === id);
      if (forward !== undefined) return { master, forward };
    }
    throw noForward(id);
  }
}

const parsed = (forwards: OpenRequest["forwards"]): ForwardSpec[] =>
  forwards.map(({ kind, spec }) => parseForwardSpec(kind, spec));

const noForward = (id: string, host?: string): TundError =>
  new TundError("NOT_FOUND", `no forward ${id}${host === undefined ? "" : ` on ${host}`}`);
