// Conversations with whoever asked for a login: questions go out on a stream of theirs, and answers come back by number.
import { randomBytes } from "node:crypto";
import type { CallerNote, ConversationLine } from "../../shared/logins.ts";
import { TundError } from "../../shared/errors.ts";
import { CallerEnvironment } from "../ssh/caller-environment.ts";
import { type Question, unanswered } from "../ssh/caller.ts";
import { type Member, silentMember } from "./company.ts";
import { untilAborted } from "./transaction.ts";

export type Say = (line: ConversationLine) => void;

interface Pending {
  resolve: (answer: string) => void;
  reject: (why: TundError) => void;
}

/** One of them. It ends with its stream: what is asked then is not answered. */
class Conversation {
  readonly #say: Say;
  readonly #pending = new Map<number, Pending>();
  #count = 0;
  #isOver = false;

  constructor(say: Say) {
    this.#say = say;
  }

  get isOpen(): boolean {
    return !this.#isOver;
  }

  tell(text: string): void {
    if (!this.#isOver) this.#say({ type: "notice", text });
  }

  ask(
    { kind, instructions, text, echo }: Question,
    host: string,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    if (this.#isOver) return Promise.reject(unanswered(`an answer to '${text.trim()}'`));
    const id = ++this.#count;
    const answer = new Promise<string>((resolve, reject) => {
      this.#pending.set(id, {
        resolve,
        reject: () => reject(unanswered(`an answer to '${text.trim()}'`, "none was given")),
      });
      this.#say({ type: "prompt", id, host, kind, instructions, text, echo });
    });
    return untilAborted(answer, signal).finally(() => this.#pending.delete(id));
  }

  answer(id: number, answer: string | null): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) throw new TundError("NOT_FOUND", `there is no question ${id} (any more)`);
    this.#pending.delete(id);
    if (answer === null) pending.reject(unanswered("an answer", "none was given"));
    else pending.resolve(answer);
  }

  end(): void {
    this.#isOver = true;
    for (const { reject } of this.#pending.values()) reject(unanswered("an answer", "none was given"));
    this.#pending.clear();
  }
}

export class Conversations {
  readonly #open = new Map<string, Conversation>();

  /** Opens one. Its id is known to nobody else; `end` is to be called when its stream is gone. */
  open(say: Say): { end: () => void } {
    const id = randomBytes(18).toString("base64url");
    const conversation = new Conversation(say);
    this.#open.set(id, conversation);
    say({ type: "opened", id });
    return {
      end: () => {
        this.#open.delete(id);
        conversation.end();
      },
    };
  }

  /** Answers a question; null: it will not be answered. @throws TundError NOT_FOUND */
  answer(id: string, prompt: number, answer: string | null): void {
    const conversation = this.#open.get(id);
    if (conversation === undefined)
      throw new TundError("NOT_FOUND", "there is no such conversation (any more)");
    conversation.answer(prompt, answer);
  }

  /**
   * Whoever sent a request, as someone who may be asked about `host`, until `signal` is aborted.
   * @throws TundError NOT_FOUND for an unknown conversation
   */
  member(note: CallerNote | undefined, host: string, signal?: AbortSignal): Member {
    const { conversation: id, agent, remember = false } = note ?? {};
    const agents = agent === undefined ? [] : [agent];
    const environment = note?.environment && new CallerEnvironment(note.environment);
    if (id === undefined) return { ...silentMember, agents, environment };
    const conversation = this.#open.get(id);
    if (conversation === undefined)
      throw new TundError("NOT_FOUND", "there is no such conversation (any more)");
    return {
      get isPresent() {
        return conversation.isOpen && signal?.aborted !== true;
      },
      agents,
      environment,
      remembers: remember,
      isPerson: true,
      ask: (question) => conversation.ask(question, host, signal),
      tell: (text) => conversation.tell(text),
    };
  }
}
