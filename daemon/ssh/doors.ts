// Who may come to a server's door: so many at a time that have not logged in, and so few refused ones that the server does not
// lock out all of this machine (PerSourcePenalties of sshd_config(5), MaxStartups, fail2ban). Names share it by address and port.
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import type { Wish } from "./dial-queue.ts";

/** What came of a login: a refusal is one of authentication. */
export type Outcome = "accepted" | "refused" | "other";

/** Who comes to doors. */
export interface Visitor extends Wish {
  /** whether the last login with the same configuration was accepted: a server that has refused others may well take this one */
  isTrusted: () => boolean;
}

const MOST = 5;
const KEPT_FOR_PEOPLE = 1;
const MOST_REFUSED = 3;
const WINDOW_MS = 10 * 60_000;
// One whose result takes longer waits for a person, or for a directory: the others do not wait for that.
const SLOW_MS = 10_000;

/** The server has refused as many logins as it is to: the next one is tried when the oldest of them counts no longer. */
export class HeldBack extends TundError {
  /** in milliseconds */
  readonly waitMs: number;

  constructor(where: string, waitMs: number, last: string) {
    const minutes = Math.max(1, Math.ceil(waitMs / 60_000));
    const text =
      `${where} has refused ${MOST_REFUSED} logins within 10 minutes, and may lock out this machine if there are more: ` +
      `the next one is tried in ${minutes} min, or as soon as somebody asks for it ('tunctl reconnect'); the last: ${last}`;
    super("CONNECTION_LOST", text);
    this.waitMs = waitMs;
  }
}

/** The doors of all servers; one for a daemon. */
export class Doors {
  readonly #clock: Clock;
  readonly #doors = new Map<string, Door>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Somebody who will come to doors, one after the other, until they are let in. */
  visit(visitor: Visitor): Visit {
    return new Visit(visitor, (where) => this.#door(where));
  }

  /** To be called when a person has begun to wait: what they wait for may go at once. */
  reconsider(): void {
    for (const door of this.#doors.values()) door.advance();
  }

  /** how many doors are remembered */
  get size(): number {
    return this.#doors.size;
  }

  #door(where: string): Door {
    const known = this.#doors.get(where);
    if (known !== undefined) return known;
    const door = new Door(where, this.#clock, () => this.#doors.delete(where));
    this.#doors.set(where, door);
    return door;
  }
}

/** One attempt's way to a server that may have several addresses: at one door at a time. */
export class Visit {
  readonly #visitor: Visitor;
  readonly #doorAt: (where: string) => Door;
  #leave: Leave | undefined;
  #isOver = false;

  constructor(visitor: Visitor, doorAt: (where: string) => Door) {
    this.#visitor = visitor;
    this.#doorAt = doorAt;
  }

  /** Whether a person waits for it, now. */
  get isAwaited(): boolean {
    return this.#visitor.isAwaited();
  }

  /**
   * Waits for its turn at this address and port, and leaves the one before.
   * @throws HeldBack, unless a person waits; what the visitor's signal was aborted with
   */
  async at(where: string): Promise<void> {
    this.#leaveAs("other", "");
    const leave = await this.#doorAt(where).enter(this.#visitor);
    this.#leave = leave;
    if (this.#isOver) this.#leaveAs("other", "");
  }

  /** It is over. @param why what a refusal says */
  end(outcome: Outcome, why = ""): void {
    this.#isOver = true;
    this.#leaveAs(outcome, why);
  }

  #leaveAs(outcome: Outcome, why: string): void {
    const leave = this.#leave;
    this.#leave = undefined;
    leave?.(outcome, why);
  }
}

/** Says what came of a login that stood at a door. */
type Leave = (outcome: Outcome, why: string) => void;

interface Waiting {
  visitor: Visitor;
  go: () => void;
  refuse: (why: Error) => void;
}

/** One address and port. */
class Door {
  readonly #where: string;
  readonly #clock: Clock;
  readonly #forget: () => void;
  readonly #queue = new Set<Waiting>();
  /** those that have not logged in, and whether each has taken long */
  readonly #inside = new Set<{ isSlow: boolean }>();
  /** refusals of the last ten minutes: when, and whether it was somebody's who used to be let in */
  #refused: { at: number; wasTrusted: boolean; why: string }[] = [];
  /** whether the last login that was decided was let in */
  #letsIn = false;

  constructor(where: string, clock: Clock, forget: () => void) {
    this.#where = where;
    this.#clock = clock;
    this.#forget = forget;
  }

  async enter(visitor: Visitor): Promise<Leave> {
    visitor.signal?.throwIfAborted();
    const held = this.#heldBack(visitor);
    if (held !== undefined) throw held;
    return this.#hasRoom(visitor) ? this.#let(visitor) : this.#queued(visitor);
  }

  /** Lets those go that may now, people first. */
  advance(): void {
    const waiting = [...this.#queue];
    const people = waiting.filter(({ visitor }) => visitor.isAwaited());
    for (const one of [...people, ...waiting.filter((other) => !people.includes(other))]) {
      const held = this.#heldBack(one.visitor);
      if (held === undefined && !this.#hasRoom(one.visitor)) continue;
      this.#queue.delete(one);
      if (held === undefined) one.go();
      else one.refuse(held);
    }
    if (this.#inside.size === 0 && this.#queue.size === 0 && this.#refused.length === 0) this.#forget();
  }

  #hasRoom(visitor: Visitor): boolean {
    if (visitor.isAwaited()) return this.#inside.size < MOST;
    if (this.#inside.size >= MOST - KEPT_FOR_PEOPLE) return false;
    if (this.#letsIn) return true;
    // Each of those that are under way may be refused; after the first that is, they go one by one.
    const isOneTried = [...this.#inside].some(({ isSlow }) => !isSlow);
    if (this.#refused.length > 0 && isOneTried) return false;
    return this.#inside.size + this.#refused.length < MOST_REFUSED || this.#isException(visitor);
  }

  // One that used to be let in may go where only others were refused: they are not to keep it out.
  #isException({ isTrusted }: Visitor): boolean {
    return isTrusted() && this.#inside.size === 0 && !this.#refused.some(({ wasTrusted }) => wasTrusted);
  }

  #heldBack(visitor: Visitor): HeldBack | undefined {
    const [oldest] = this.#refused;
    if (oldest === undefined || this.#refused.length < MOST_REFUSED || visitor.isAwaited()) return undefined;
    if (visitor.isTrusted() && (this.#letsIn || this.#isException(visitor))) return undefined;
    const waitMs = oldest.at + WINDOW_MS - this.#clock.monotonic();
    return new HeldBack(this.#where, Math.max(0, waitMs), this.#refused.at(-1)?.why ?? "");
  }

  #let({ isTrusted }: Visitor): Leave {
    const wasTrusted = isTrusted();
    const entry = { isSlow: false };
    this.#inside.add(entry);
    const timer = this.#clock.after(SLOW_MS, () => {
      entry.isSlow = true;
      this.advance();
    });
    return (outcome, why) => {
      timer.cancel();
      this.#inside.delete(entry);
      if (outcome === "refused") this.#refusal({ at: this.#clock.monotonic(), wasTrusted, why });
      if (outcome !== "other") this.#letsIn = outcome === "accepted";
      this.advance();
    };
  }

  #refusal(refusal: { at: number; wasTrusted: boolean; why: string }): void {
    this.#refused.push(refusal);
    // People may be refused as often as they like, and are not to have it remember more than counts.
    if (this.#refused.length > MOST_REFUSED) this.#refused.shift();
    this.#clock.after(WINDOW_MS, () => {
      this.#refused = this.#refused.filter((other) => other !== refusal);
      this.advance();
    });
  }

  #queued(visitor: Visitor): Promise<Leave> {
    const { signal } = visitor;
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#queue.delete(waiting);
        reject(signal?.reason as Error);
        this.advance();
      };
      const done = (settle: () => void) => {
        signal?.removeEventListener("abort", leave);
        settle();
      };
      const waiting: Waiting = {
        visitor,
        // Before its owner hears of it, so that nobody else takes its place meanwhile.
        go: () => done(() => resolve(this.#let(visitor))),
        refuse: (why) => done(() => reject(why)),
      };
      this.#queue.add(waiting);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }
}
