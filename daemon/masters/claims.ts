// What commands do with names: they find or make the master of a host, and claim it until they are answered.
import type { ConnectionOptions } from "../../shared/records.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import { isUnresolved } from "../ssh/unresolved.ts";
import { background, type Member, silentMember } from "./company.ts";
import type { Master } from "./master.ts";
import type { Named, NameWishes } from "./names.ts";
import { isHeld, standsForAnother } from "./refusals.ts";
import type { Roster } from "./roster.ts";
import { isOver } from "./state.ts";
import { Transaction } from "./transaction.ts";
import type { Patience } from "./waiters.ts";

/** Who wants a host, and what for. */
export interface Wanted {
  transaction: Transaction;
  /** who wants it, and may be asked by its login: a person who cannot be asked, unless it says otherwise */
  member?: Member;
  /** whether a new master dials now, or when it is needed */
  start?: "connecting" | "idle";
  /** it is to lead to others */
  isHop?: boolean;
}

const environmentOf = ({ member }: Wanted): Partial<NameWishes> =>
  member?.environment ? { environment: member.environment, isEnvironmentLost: false } : {};

export class Claims {
  /** Whether a host has ever been wanted for more than to lead to others, or to be a holder's own. */
  isUsed = false;
  readonly #roster: Roster;

  constructor(roster: Roster) {
    this.#roster = roster;
  }

  /**
   * A host with its master ready.
   * @throws TundError why not
   */
  async ready(host: string, options: ConnectionOptions | undefined, wanted: Wanted): Promise<Named> {
    const { transaction, member } = wanted;
    const named = await this.acquire(host, options, wanted);
    await this.#whenReady(named, { signal: transaction.signal, ...(member && { member }) });
    transaction.check();
    await transaction.wait(this.#roster.placeMux(host)); // whoever was answered may drive it there
    return named;
  }

  /** As ready(), with ssh_config asked anew although the master is up: for the forwards that it asks for. */
  async readyAnew(host: string, options: ConnectionOptions | undefined, wanted: Wanted): Promise<Named> {
    const { transaction } = wanted;
    const named = await this.ready(host, options, wanted);
    const { identity, forwarding, controlPath } = await this.#resolved(host, options, wanted);
    const isSame = identity === named.master.config.identity;
    named.intent.claim(transaction, { forwarding, ...(isSame && { controlPath }) });
    await transaction.wait(this.#roster.placeMux(host));
    return named;
  }

  /**
   * Drops a host's link and dials now, as ssh_config is now.
   * @throws TundError why the attempt failed; MASTER_CLOSING for one that ends when its last connection does
   */
  async reconnect(host: string, transaction: Transaction): Promise<Master> {
    const named = this.#roster.names.known(host);
    const { master } = named;
    master.refuseWhenOver();
    if (isUnresolved(master.config)) return (await this.ready(host, undefined, { transaction })).master;
    if (master.held !== null) throw isHeld(host);
    this.claim(named, transaction);
    await this.#redial(named, { transaction });
    return named.master;
  }

  /** As reconnect(), as long as that is due when ssh_config has been asked; nobody waits. */
  redial(host: string, isDue: (config: HostConfig) => boolean): void {
    const named = this.#roster.names.known(host);
    const { master } = named;
    if (isUnresolved(master.config)) return master.retry();
    if (master.held !== null || isOver(master.state)) return undefined;
    const transaction = new Transaction();
    this.claim(named, transaction);
    const done = () => transaction.rollback(); // nobody was told anything
    return void transaction
      .run(() => this.#redial(named, { transaction, member: background }, isDue))
      .then(done, done);
  }

  /** A command builds on a name, and on its master: it fails when they end. Neither stays for its sake if it is not answered. */
  claim(named: Named, transaction: Transaction, wishes: Partial<NameWishes> = {}): void {
    const { intent } = named;
    intent.claim(transaction, { ...wishes, isAcknowledged: true });
    transaction.enlist({
      check: () => this.#roster.names.confirm(named),
      commit: () => intent.commit(transaction),
      rollback: () => this.#giveUp(named, transaction),
    });
  }

  /**
   * A host with its master, in whatever state that is.
   * @throws TundError when ssh_config cannot be resolved, HOST_CONFLICT, MASTER_CLOSING
   */
  async acquire(host: string, given: ConnectionOptions | undefined, wanted: Wanted): Promise<Named> {
    const { transaction, start = "connecting" } = wanted;
    this.#noteUse(host, wanted);
    const { suspects } = this.#roster;
    this.#roster.refuseWhenClosing();
    const standing = this.#roster.names.get(host);
    if (standing?.master.state === "ready" && given === undefined) {
      this.claim(standing, transaction, environmentOf(wanted));
      return standing;
    }
    const config = await this.#resolved(host, given, wanted);
    // Not sooner: whoever has gone by now has not had it dialled. From here on, once more is enough for a suspect.
    if (suspects.lastOf(host) !== null) await transaction.wait(suspects.forgive(host));
    // One that has nothing left to end for is gone in a moment, and was ended for reasons of its own: nobody needed it.
    for (let at = this.#roster.going(host, config); at !== undefined; at = this.#roster.going(host, config))
      await transaction.wait(at.ended);
    this.#roster.refuseWhenClosing();
    const before = this.#roster.names.get(host);
    before?.master.refuseWhenOver();
    const reserved = before !== undefined && isUnresolved(before.master.config) ? before.master : undefined;
    if (before !== undefined && reserved === undefined) this.#mend(before, config, transaction);
    const master = this.#roster.masterFor(config, start);
    const named = this.#roster.name(host, master, config);
    const { forwarding, controlPath } = config;
    const wishes = { ...environmentOf(wanted), ...(given && { options: given }) };
    this.claim(named, transaction, { forwarding, controlPath, ...wishes });
    if (reserved !== undefined) {
      named.intent.settle({ forwarding, controlPath }); // so far it had none
      this.#roster.onResolved(named, reserved);
      reserved.exit();
    }
    void this.#roster.placeMux(host); // not waited for: who comes now is to be with the master when it dials
    return named;
  }

  #noteUse(host: string, { isHop = false }: Wanted): void {
    const held = this.#roster.names.get(host)?.master.held ?? null;
    this.isUsed ||= !isHop && held === null;
  }

  // What ssh_config means for a host. When it is told what options the host is connected with now, they may be others by then.
  async #resolved(
    host: string,
    given: ConnectionOptions | undefined,
    { transaction, member = silentMember }: Wanted,
  ): Promise<HostConfig> {
    const wish = { isAwaited: () => member.isPerson, signal: transaction.signal };
    const current = () => {
      const { options, environment } = this.#roster.names.get(host) ?? {};
      return { options: given ?? options, environment: member.environment ?? environment };
    };
    for (;;) {
      const { options, environment } = current();
      const config = await transaction.wait(this.#roster.resolve(host, options, { ...wish, environment }));
      transaction.check();
      const now = current();
      if (now.options === options && now.environment === environment) return config;
    }
  }

  // A command that asked for a name is not answered: what it told of how to connect it does not count.
  async #giveUp(named: Named, transaction: Transaction): Promise<void> {
    const { intent, host, master } = named;
    const { options, controlPath } = intent.value;
    intent.rollback(transaction);
    named.keepMaster();
    this.#roster.release(master);
    if (isOver(master.state)) return master.ended;
    if (this.#roster.names.get(host) !== named) return undefined;
    if (controlPath !== intent.value.controlPath) void this.#roster.placeMux(host);
    const { identity } = master.config;
    if (options !== intent.value.options) this.redial(host, (config) => config.identity !== identity);
    return undefined;
  }

  async #redial(
    named: Named,
    wanted: Wanted,
    isDue: (config: HostConfig) => boolean = () => true,
  ): Promise<void> {
    const config = await this.#resolved(named.host, undefined, wanted);
    if (!isDue(config)) return;
    const { master } = named;
    // One that has ended in this very turn of the event loop has no names any more. What others mean that share it, and
    // whether there is a master already for what it means now, is looked at as it dials.
    if (this.#roster.names.of(master).length === 1) this.#roster.refile(master, config);
    const { transaction, member } = wanted;
    const patience = { signal: transaction.signal, ...(member && { member }) };
    await this.#followed(named, () => master.reconnect(patience));
    if (named.master !== master) await this.#whenReady(named, patience);
  }

  // Its master dials by what ssh_config says now, and that may be another one's connection: then that one is waited for.
  async #whenReady(named: Named, patience: Patience): Promise<void> {
    for (let master: Master | undefined; master !== named.master;) {
      master = named.master;
      await this.#followed(named, () => named.master.whenReady(patience));
    }
  }

  // What a master fails with that the name stands for no longer is nothing to it.
  async #followed(named: Named, act: () => Promise<void>): Promise<void> {
    const { master } = named;
    try {
      await act();
    } catch (error) {
      if (named.master === master || isOver(named.master.state)) throw error;
    }
  }

  // A name stands for one connection. One that is not up may be told anew how to be (ssh_config was mended), and leaves then
  // those that mean what it meant; one that is up, or waited for by others, may not.
  #mend(named: Named, config: HostConfig, transaction: Transaction): void {
    const { master, intent } = named;
    if (master.config.identity === config.identity) return;
    if (master.state === "ready" || intent.isClaimedBeside(transaction))
      throw standsForAnother(config.host, master.config);
    const isAlone = this.#roster.names.of(master).length === 1;
    if (!isAlone || !this.#roster.rekey(master, config)) this.#roster.move(named, config);
  }
}
