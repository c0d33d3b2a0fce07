// What was resolved once is not true for ever: before a master dials again, ssh is asked what each of its names means now.
import { asTundError, TundError } from "../../shared/errors.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import type { Carried } from "./carried.ts";
import { silentMember } from "./company.ts";
import type { Master } from "./master.ts";
import type { Named, Names } from "./names.ts";
import type { RosterOptions } from "./roster-options.ts";
import { isOver } from "./state.ts";

export interface RenewalOptions {
  names: Names;
  resolve: RosterOptions["resolve"];
  /** whether ssh has just been asked for it, for this very dial */
  isFresh: (config: HostConfig) => boolean;
  carriedBy: (master: Master) => Carried;
  /** the master for what this leads to; a new one, which does not dial yet, if there is none that takes something new */
  masterFor: (config: HostConfig) => Master;
  /** has a master stand for what this leads to; false, and nothing is changed, where another one does */
  refile: (master: Master, config: HostConfig) => boolean;
  /** called when anything about a master has changed */
  onChange: (master: Master) => void;
}

/** What ssh says of a name now: one of the two. */
interface Answer {
  named: Named;
  config?: HostConfig;
  failure?: TundError;
}

type Resolved = Answer & { config: HostConfig };

const isResolved = (answer: Answer): answer is Resolved => answer.config !== undefined;

export class Renewal {
  readonly #options: RenewalOptions;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /**
   * What a master is to dial with now. Names that have come to mean another connection leave it, with their forwards: for the
   * master of that connection, or for a new one. Those of which ssh cannot tell what they mean stay.
   * @throws TundError as ssh has it where it can tell of none; CONNECTION_LOST when all names have left
   */
  async configFor(master: Master, signal: AbortSignal): Promise<HostConfig> {
    const { names, isFresh } = this.#options;
    const all = names.of(master);
    if (master.held !== null || (all.length === 1 && isFresh(master.config))) return master.config;
    const answers = await Promise.all(all.map((named) => this.#ask(named, master, signal)));
    signal.throwIfAborted();
    return this.#renewed(master, answers);
  }

  /**
   * Has a name stand for what it means now, with its forwards, as they are: its master has no link. That one ends with its
   * last name. Gives the master that it stands for. @throws TundError MASTER_CLOSING
   */
  move(named: Named, config: HostConfig): Master {
    const { names, carriedBy, masterFor, onChange } = this.#options;
    const { host, master: from } = named;
    const to = masterFor(config);
    names.move(named, to);
    this.#told(named, config);
    const { agents } = from.company;
    if (to.company.agents.length === 0) to.company.join({ ...silentMember, agents })();
    for (const forward of carriedBy(from).handOver(host, to)) {
      if (to.outlook === "up") forward.linkReady();
      const failure = to.outlook === "gone" ? to.snapshot().failure : null;
      if (failure !== null) forward.linkGone(new TundError(failure.code, failure.message));
      if (forward.parked > 0) to.want();
    }
    if (!to.isOnDemand) to.want();
    if (names.of(from).length === 0) from.exit();
    onChange(from);
    onChange(to);
    return to;
  }

  // When it is told meanwhile how to be connected, that is what counts.
  async #ask(named: Named, master: Master, signal: AbortSignal): Promise<Answer> {
    const { resolve } = this.#options;
    const wish = { isAwaited: master.company.isAwaited, signal, mayRecall: true };
    for (;;) {
      const { options, environment } = named;
      const answer: Answer = await resolve(named.host, options, { ...wish, environment }).then(
        (config) => ({ named, config }),
        (error: unknown) => ({ named, failure: asTundError(error) }),
      );
      const isSame = options === named.options && environment === named.environment;
      if (signal.aborted || !this.#isOf(master, named) || isSame) return answer;
    }
  }

  #renewed(master: Master, answers: readonly Answer[]): HostConfig {
    const { names, refile } = this.#options;
    const current = answers.filter(({ named }) => this.#isOf(master, named));
    const resolved = current.filter(isResolved);
    const moved = resolved.filter(({ config }) => config.identity !== master.config.identity);
    // It goes where all of its names go, unless there is a master already.
    const [leader] = moved.length === names.of(master).length ? moved : [];
    const hasLead = leader !== undefined && refile(master, leader.config);
    const stays = ({ config }: Resolved) => config.identity === master.config.identity;
    for (const { named, config } of moved)
      if (!hasLead || config.identity !== leader.config.identity) this.move(named, config);
    const staying = resolved.filter(stays);
    for (const { named, config } of staying) this.#told(named, config);
    const [first] = staying;
    if (first === undefined) return this.#asItWas(master, answers);
    refile(master, first.config);
    this.#options.onChange(master);
    return first.config;
  }

  // What ssh_config says beside the connection; a command that is under way has asked for itself.
  #told(named: Named, { forwarding, controlPath }: HostConfig): void {
    const { names, onChange } = this.#options;
    if (!named.intent.isClaimed) named.intent.settle({ forwarding, controlPath });
    void names.placeMux(named.host).then(() => onChange(named.master));
  }

  // Whoever joined it meanwhile has asked for themselves.
  #asItWas(master: Master, answers: readonly Answer[]): HostConfig {
    const left = this.#options.names.of(master);
    const asked = answers.filter(({ named }) => left.includes(named));
    if (left.length > asked.length) return master.config;
    const [failure] = asked.flatMap((answer) => answer.failure ?? []);
    throw failure ?? new TundError("CONNECTION_LOST", `${master.config.host} has another master now`);
  }

  #isOf(master: Master, named: Named): boolean {
    return this.#options.names.get(named.host) === named && named.master === master && !isOver(master.state);
  }
}
