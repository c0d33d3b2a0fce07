// Those who wait for a master, as one caller: whoever can be asked is asked.
import type { CallerEnvironment } from "../ssh/caller-environment.ts";
import { type Caller, nobody, type Question, unanswered } from "../ssh/caller.ts";
import type { OpenKey } from "../ssh/key-ring.ts";

/** Someone who waits. */
export interface Member extends Pick<Caller, "isPresent" | "agents" | "ask" | "tell"> {
  /** whether answers are to be kept in memory for when the link is lost (`--remember`) */
  readonly remembers: boolean;
  /** whether a person waits, and not something in the background */
  readonly isPerson: boolean;
  /** their environment, for programs of ssh_config; undefined where they say nothing of it */
  readonly environment?: CallerEnvironment | undefined;
}

/** One who waits and cannot be asked. */
export const silentMember: Member = { ...nobody, remembers: false, isPerson: true };

/** Nobody who waits: what the daemon does by itself. */
export const background: Member = { ...silentMember, isPerson: false };

export class Company implements Caller {
  readonly #members = new Set<Member>();
  readonly #answers = new Map<string, string>();
  readonly #keys = new Map<string, OpenKey>();
  #agents: readonly string[] = [];
  #unheard = false;

  /** Somebody begins to wait. Gives what ends that. */
  join(member: Member): () => void {
    this.#members.add(member);
    if (member.agents.length > 0) this.#agents = [...member.agents];
    return () => void this.#members.delete(member);
  }

  /** Whether a person waits, here or behind it: what they wait for goes first. */
  readonly isAwaited = (): boolean => {
    for (const member of this.#members) if (member.isPerson) return true;
    return false;
  };

  get isPresent(): boolean {
    const is = this.#who() !== undefined;
    this.#unheard ||= !is;
    return is;
  }

  /** The agents of those who asked last: they may answer still when the link is lost. */
  get agents(): readonly string[] {
    return this.#agents;
  }

  /** To be called when an attempt begins. */
  begin(): void {
    this.#unheard = false;
  }

  /** Whether nobody was there when it mattered, and somebody is now. */
  get cameLate(): boolean {
    return this.#unheard && this.#who() !== undefined;
  }

  async ask(question: Question): Promise<string> {
    const { memo } = question;
    const kept = memo === null ? undefined : this.#answers.get(memo);
    if (kept !== undefined) return kept;
    const { member, answer } = await this.#askOne(question);
    if (member.remembers && memo !== null) this.#answers.set(memo, answer);
    return answer;
  }

  // If whoever is asked goes away without an answer, the next one is.
  async #askOne(question: Question): Promise<{ member: Member; answer: string }> {
    for (;;) {
      const member = this.#who();
      if (member === undefined) throw unanswered(`an answer to '${question.text.trim()}'`);
      try {
        return { member, answer: await member.ask(question) };
      } catch (error) {
        if (member.isPresent) throw error;
      }
    }
  }

  remembers(memo: string): boolean {
    return this.#answers.has(memo);
  }

  forget(memo: string): void {
    this.#answers.delete(memo);
    this.#keys.get(memo)?.release();
    this.#keys.delete(memo);
  }

  keepKey(memo: string, key: OpenKey): boolean {
    if (!this.#answers.has(memo)) return false;
    this.forget(memo);
    this.#keys.set(memo, key);
    return true;
  }

  keptKey(memo: string): OpenKey | undefined {
    return this.#keys.get(memo);
  }

  /** Its master has ended: nothing is kept any more. */
  end(): void {
    for (const memo of [...this.#answers.keys(), ...this.#keys.keys()]) this.forget(memo);
  }

  tell(text: string): void {
    for (const member of this.#members) member.tell(text);
  }

  /** Whether answers are to be kept. */
  get remembering(): boolean {
    return [...this.#members].some((member) => member.remembers);
  }

  #who(): Member | undefined {
    return [...this.#members].find((member) => member.isPresent);
  }
}

/**
 * A company as someone who waits for another master: one that leads to its own.
 * @param environment of its own master's programs: those of the other one have it too, if nobody has asked for that one
 */
export const memberOf = (company: Company, environment?: CallerEnvironment | null): Member => ({
  environment: environment ?? undefined,
  get isPresent() {
    return company.isPresent;
  },
  agents: company.agents,
  remembers: company.remembering,
  get isPerson() {
    return company.isAwaited();
  },
  // The other master keeps what is to be kept.
  ask: (question) => company.ask({ ...question, memo: null }),
  tell: (text) => company.tell(text),
});
