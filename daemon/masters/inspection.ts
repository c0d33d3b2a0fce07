// Looking at hosts without logging in: their keys, and what a login would come to.
import type { Clock } from "../../shared/clock.ts";
import type {
  CallerNote,
  DiagnoseRequest,
  Finding,
  HostKeys,
  ScanRequest,
  TrustRequest,
} from "../../shared/logins.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import type { CallerEnvironment } from "../ssh/caller-environment.ts";
import type { Around, CurrentHost, HostNames } from "../ssh/current-host.ts";
import { type DialQueue, somebody } from "../ssh/dial-queue.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import type { Outside } from "../ssh/outside.ts";
import type { Probing } from "../ssh/probe.ts";
import type { Conversations } from "./conversations.ts";
import { examine } from "./doctor.ts";
import type { Roster } from "./roster.ts";
import type { RosterOptions } from "./roster-options.ts";
import { Transaction } from "./transaction.ts";
import { recordKeys, shownKeys } from "./trust.ts";

export interface InspectionOptions extends Outside {
  resolve: RosterOptions["resolve"];
  roster: Roster;
  conversations: Conversations;
  /** whose turn it is to dial */
  turns: DialQueue;
  /** which host tund is busy with */
  current: CurrentHost;
  clock: Clock;
}

interface Asked {
  host: string;
  connection?: ConnectionOptions;
  caller?: CallerNote;
}

export class Inspection {
  readonly #options: InspectionOptions;

  constructor(options: InspectionOptions) {
    this.#options = options;
  }

  /** The keys that a host shows; nothing is recorded. @throws TundError why it could not be asked */
  async scan(request: ScanRequest, transaction = new Transaction()): Promise<HostKeys> {
    const { hostKeyFiles } = this.#options;
    const probing = { ...(await this.#probing(request, transaction)), hostKeyFiles };
    return this.#following(request.host, () => shownKeys(request.host, probing));
  }

  /** Records keys of a host; a master that waits for nothing else goes on. @throws TundError why they are not recorded */
  async trust(
    { host, connection, publicKeys }: TrustRequest,
    transaction = new Transaction(),
  ): Promise<{ host: string; file: string }> {
    const { roster, hostKeyFiles, hostKeyMemory } = this.#options;
    const config = await this.#resolved(host, connection, transaction);
    const means = { hostKeyFiles, hostKeyMemory, transaction };
    const { file, failure } = await recordKeys(config, publicKeys, means);
    const master = roster.names.get(host)?.master;
    if (master?.snapshot().failure?.code === "HOST_KEY_UNKNOWN" && master.state === "blocked") master.retry();
    if (failure !== undefined) throw failure;
    return { host, file };
  }

  /** What would happen if the host were connected now; hosts that lead to it first. @throws TundError HOST_CONFIG_FAILED */
  async diagnose(
    { host, connection, caller }: DiagnoseRequest,
    transaction = new Transaction(),
  ): Promise<Finding[]> {
    if (host === undefined) return [];
    const agents = caller?.agent === undefined ? [] : [caller.agent];
    const asked = { ...(connection && { connection }), ...(caller && { caller }) };
    const chain = await this.#chain({ host, ...asked }, transaction);
    const findings: Finding[] = [];
    for (const probing of chain) {
      const { host: name } = probing.config;
      const isHop = probing !== chain.at(-1);
      const examined = this.#following(name, () => examine({ ...this.#options, ...probing, agents }));
      for (const finding of await transaction.wait(examined))
        findings.push(isHop ? { ...finding, subject: `${name}: ${finding.subject}` } : finding);
    }
    return findings;
  }

  // Nearest first; one that comes twice goes in a circle, and what tries to dial it says so.
  async #chain(asked: Asked, transaction: Transaction): Promise<Probing[]> {
    const probing = await this.#probing(asked, transaction);
    const chain = [probing];
    const seen = new Set([asked.host]);
    for (let { way } = probing.config; way.kind === "jump" && !seen.has(way.hop.name);) {
      const { name: host, options: connection } = way.hop;
      seen.add(host);
      const caller = asked.caller && { caller: asked.caller };
      const hop = await this.#probing({ host, connection, ...caller }, transaction);
      chain.unshift(hop);
      way = hop.config.way;
    }
    return chain;
  }

  async #probing({ host, connection, caller }: Asked, transaction: Transaction): Promise<Probing> {
    const { roster, conversations, turns, current, resolver, children, kems, clock } = this.#options;
    const { signal } = transaction;
    const names: HostNames = new Set([host]);
    const around: Around = (run) => current.run(names, run);
    const member = conversations.member(caller, host, signal);
    const config = await this.#resolved(host, connection, transaction, member.environment);
    const wireTo = () => roster.wireFor(config, { member, signal });
    return { config, turns, around, resolver, children, kems, clock, signal, wireTo };
  }

  // What comes of looking at a host is the host's.
  #following<T>(host: string, look: () => Promise<T>): Promise<T> {
    return this.#options.current.follow(new Set([host]), look);
  }

  // A host that is known goes by the options that it was connected with.
  #resolved(
    host: string,
    connection: ConnectionOptions | undefined,
    transaction: Transaction,
    own?: CallerEnvironment,
  ): Promise<HostConfig> {
    const { resolve, roster } = this.#options;
    const known = roster.names.get(host);
    const environment = own ?? known?.environment;
    const { signal } = transaction;
    return transaction.wait(
      resolve(host, connection ?? known?.options, { ...somebody, signal, environment }),
    );
  }
}
