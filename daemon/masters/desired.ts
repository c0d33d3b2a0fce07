// Desired state: what was asked for and is to outlive the daemon, read off the forwards and hosts that there are.
import type { Clock, Timer } from "../../shared/clock.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Forward } from "../forwards/forward.ts";
import type { SavedForward, SavedHost } from "../saved-state.ts";
import type { Store } from "../store.ts";
import type { Master } from "./master.ts";
import type { Named } from "./names.ts";
import type { Roster } from "./roster.ts";
import { isOver } from "./state.ts";
import { type Deadline, Transaction } from "./transaction.ts";

/** What is not wanted any longer. */
interface Dropped {
  forwards: readonly Forward[];
  names?: readonly Named[];
}

interface DesiredOptions {
  store: Pick<Store, "save">;
  clock: Clock;
  log: Log;
}

const AGAIN_MS = 10_000;
// Many log in at once when a network is back.
const SOON_MS = 1000;

export class Desired {
  readonly #roster: Roster;
  readonly #store: Pick<Store, "save">;
  readonly #clock: Clock;
  readonly #log: Log;
  /** what is being forgotten: it is not saved, and not forgotten until that is saved */
  readonly #forgetting = new Set<Dropped>();
  /** what was saved last, as far as that is known */
  #saved: string | undefined = "[]";
  #again: Timer | undefined;
  /** whether it is about to be looked at whether a login has changed what is saved */
  #isDue = false;

  constructor(roster: Roster, { store, clock, log }: DesiredOptions) {
    this.#roster = roster;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** To be called when what was saved has been put back. */
  restored(): void {
    this.#saved = JSON.stringify(this.#hosts());
  }

  /** Saves it as it is now. @throws TundError STATE_NOT_SAVED, SHUTTING_DOWN */
  async save(): Promise<void> {
    try {
      await this.#store.save(() => {
        const hosts = this.#hosts();
        this.#saved = JSON.stringify(hosts);
        return hosts;
      });
    } catch (error) {
      this.#saved = undefined;
      throw error;
    }
  }

  /**
   * Carries a command out: what it changes counts once it is answered, and is taken back here and on disk if it is not.
   * @param given ended by whoever answers; without one it is answered when this settles
   * @throws what `act` throws, and as transaction.check(); TIMEOUT
   */
  async carryOut<T>(
    given: Transaction | undefined,
    act: (transaction: Transaction) => Promise<T>,
    deadline?: Deadline,
  ): Promise<T> {
    const transaction = given ?? new Transaction();
    transaction.enlist({ rollback: () => this.#settle() });
    const inTime = deadline && transaction.expireIn(deadline, this.#clock);
    try {
      const result = await transaction.run(() => act(transaction));
      if (given === undefined) transaction.commit();
      return result;
    } finally {
      inTime?.();
    }
  }

  // A command was taken back: what it had saved, or another one with it, goes too; in time, if the disk is full now.
  async #settle(): Promise<void> {
    this.#again?.cancel();
    if (this.#roster.isClosing || JSON.stringify(this.#hosts()) === this.#saved) return;
    try {
      await this.save();
    } catch (error) {
      this.#log.warn(
        { error: messageOf(error) },
        "what is on disk is not as it is now; saving it is tried again",
      );
      this.#again = this.#clock.after(AGAIN_MS, () => void this.#settle());
    }
  }

  /** A host is to be kept connected from now on, and when the daemon comes back. @throws TundError STATE_NOT_SAVED */
  async keep(named: Named, transaction: Transaction): Promise<void> {
    if (named.master.held !== null) return;
    transaction.check();
    named.intent.claim(transaction, { isKept: true });
    named.keepMaster();
    await transaction.wait(this.save());
  }

  /** A master has logged in. What that changes of what is saved is nobody's command: it is saved in time. */
  loggedIn(master: Master): void {
    const { names, config, held } = master;
    if (held !== null) return; // it does not come back
    this.#roster.returning.goodLogins.note(names, config.identity, master.live().acceptedKey);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.after(SOON_MS, () => {
      this.#isDue = false;
      void this.#settle();
    });
  }

  /** Whether any of it would come back with the daemon. */
  wants({ forwards, names = [] }: Dropped): boolean {
    return (
      forwards.some(({ isPersistent }) => isPersistent) || names.some(({ intent }) => intent.value.isKept)
    );
  }

  /** These are not wanted any longer, and that is saved. @throws TundError STATE_NOT_SAVED, and all is as it was */
  async forget(dropped: Dropped): Promise<void> {
    this.#forgetting.add(dropped);
    try {
      await this.save();
    } catch (error) {
      this.#forgetting.delete(dropped);
      await this.#settle(); // who saved meanwhile left it out
      throw error;
    }
    for (const forward of dropped.forwards) forward.intent.settle({ isPersistent: false });
    for (const { intent } of dropped.names ?? []) intent.settle({ isKept: false });
    this.#forgetting.delete(dropped);
  }

  #hosts(): SavedHost[] {
    // What the masters lose now is lost to the end of the daemon, not to anybody's wish.
    if (this.#roster.isClosing) throw new TundError("SHUTTING_DOWN", "tund is shutting down");
    const forgetting = [...this.#forgetting];
    const isForgotten = (named: Named) => forgetting.some(({ names }) => names?.includes(named));
    const isSaved = (forward: Forward) =>
      forward.isPersistent && !forgetting.some(({ forwards }) => forwards.includes(forward));
    return [...this.#roster.names.all.values()].flatMap((named) => {
      const { host, master, intent, options } = named;
      if (master.held !== null) return []; // its holder makes it again
      if (isOver(master.state)) return []; // whoever ended it has saved that
      const kept = intent.value.isKept && !isForgotten(named);
      const forwards = master.forwards.filter((forward) => forward.host === host && isSaved(forward));
      if (!kept && forwards.length === 0) return [];
      const had = this.#roster.names.hasEnvironment(named) && { hadEnvironment: true };
      const login = this.#roster.returning.goodLogins.saved(host);
      const more = { ...had, ...(login && { goodLogin: login }) };
      return [{ host, kept, connection: options ?? null, ...more, forwards: forwards.map(savedForward) }];
    });
  }
}

const savedForward = ({ id, name, spec, wishes, allocatedPort }: Forward): SavedForward => ({
  id,
  name,
  kind: spec.kind,
  spec: spec.text,
  ...wishes,
  allocatedPort,
});
