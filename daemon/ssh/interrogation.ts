// What a person answers to get in: passwords, one-time codes, and whatever else a server asks (RFC 4252 section 8, RFC 4256).
import type { AnyAuthMethod, Prompt } from "ssh2";
import { TundError } from "../../shared/errors.ts";
import type { Caller, Question } from "./caller.ts";
import type { HostConfig } from "./host-config.ts";

export class Interrogation {
  readonly #config: HostConfig;
  readonly #caller: Caller;
  #passwords = 0;
  #rounds = 0;
  /** the keyboard-interactive try under way: whether the server asked anything in it */
  #wasAsked = true;

  constructor(config: HostConfig, caller: Caller) {
    this.#config = config;
    this.#caller = caller;
  }

  get #who(): string {
    return `${this.#config.user}@${this.#config.hostname}`;
  }

  /** Starts counting anew: the server has taken one of several methods. */
  again(): void {
    [this.#passwords, this.#rounds, this.#wasAsked] = [0, 0, true];
  }

  /** Whether answers for it are remembered, so that nobody need be there. */
  remembers(name: string): boolean {
    return this.#caller.remembers(memoOf(name, this.#who));
  }

  /** The next try at a method; undefined when it has been tried as often as ssh does. @throws TundError PROMPT_UNANSWERED */
  async method(name: string, onFailure: (error: unknown) => void): Promise<AnyAuthMethod | undefined> {
    return name === "password" ? this.#byPassword() : this.#byKeyboard(onFailure);
  }

  async #byPassword(): Promise<AnyAuthMethod | undefined> {
    const { user: username, numberOfPasswordPrompts } = this.#config;
    const memo = memoOf("password", this.#who);
    if (this.#passwords > 0) this.#wasWrong(memo);
    if (this.#passwords++ >= numberOfPasswordPrompts || !this.#canAsk(memo)) return undefined;
    const text = `${this.#who}'s password: `;
    return passwordMethod(username, await this.#ask({ kind: "password", text, memo }));
  }

  #byKeyboard(onFailure: (error: unknown) => void): AnyAuthMethod | undefined {
    const { user: username, numberOfPasswordPrompts } = this.#config;
    const memo = memoOf("keyboard-interactive", this.#who);
    if (this.#rounds > 0) this.#caller.forget(memo);
    // A server that refuses without a question will not ask the next time either (sshconnect2.c).
    if (!this.#wasAsked || this.#rounds++ >= numberOfPasswordPrompts || !this.#canAsk(memo)) return undefined;
    this.#wasAsked = false;
    return {
      type: "keyboard-interactive",
      username,
      // Name, instructions, language, prompts, and whom to give the answers (RFC 4256 section 3.2).
      prompt: (...[name, instructions, , prompts, finish]) => {
        this.#wasAsked = true;
        this.#answerAll([name, instructions], prompts, memo).then(finish, onFailure);
      },
    };
  }

  async #answerAll(head: readonly string[], prompts: readonly Prompt[], memo: string): Promise<string[]> {
    const instructions = head.filter((line) => line.trim() !== "").join("\n") || null;
    const answers: string[] = [];
    for (const { prompt, echo = false } of prompts) {
      // A password is the same the next time; a code is not.
      const isPassword = !echo && /passw/i.test(prompt);
      answers.push(
        await this.#ask({
          kind: "keyboard-interactive",
          instructions: answers.length === 0 ? instructions : null,
          text: `(${this.#who}) ${prompt}`,
          echo,
          memo: isPassword ? memo : null,
        }),
      );
    }
    return answers;
  }

  /** Asks for a new password in place of an expired one. @throws TundError PROMPT_UNANSWERED, AUTH_FAILED */
  async newPassword(message: string): Promise<{ old: string; fresh: string }> {
    this.#caller.forget(memoOf("password", this.#who));
    const ask = (what: string, instructions: string | null) =>
      this.#ask({ kind: "new-password", instructions, text: what });
    const old = await ask(`Enter ${this.#who}'s old password: `, message.trim() || null);
    for (let tries = 0; tries < this.#config.numberOfPasswordPrompts; tries++) {
      const fresh = await ask(`Enter ${this.#who}'s new password: `, null);
      if ((await ask(`Retype ${this.#who}'s new password: `, null)) === fresh) return { old, fresh };
      this.#caller.tell("Mismatch; try again, EOF to quit.");
    }
    throw new TundError("AUTH_FAILED", `the password of ${this.#who} has expired, and was not changed`);
  }

  #wasWrong(memo: string): void {
    this.#caller.forget(memo);
    this.#caller.tell("Permission denied, please try again.");
  }

  #canAsk(memo: string): boolean {
    return this.#caller.isPresent || this.#caller.remembers(memo);
  }

  #ask(question: Pick<Question, "kind" | "text"> & Partial<Question>): Promise<string> {
    return this.#caller.ask({ instructions: null, echo: false, memo: null, ...question });
  }
}

/** What ssh2 is given keeps the password for as long as the connection lives: as bytes, which can be overwritten. */
const passwordMethod = (username: string, password: string): AnyAuthMethod => ({
  type: "password",
  username,
  password: Buffer.from(password) as unknown as string, // ssh2 takes both, whatever the types say (lib/client.js)
});

/** Overwrites the password of a method that ssh2 has sent. */
export function wipe(method: AnyAuthMethod | undefined): void {
  const password: unknown = method?.type === "password" ? method.password : undefined;
  if (Buffer.isBuffer(password)) password.fill(0);
}

const memoOf = (name: string, who: string): string => `${name} ${who}`;
