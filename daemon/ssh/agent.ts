// An authentication agent (draft-ietf-sshm-ssh-agent), with deadlines: one that hangs must not hang the login.
import { BaseAgent, OpenSSHAgent, type ParsedKey, type SignCallback, type SigningRequestOptions } from "ssh2";
import type { Clock } from "../../shared/clock.ts";

const LIST_DEADLINE_MS = 5000;
const SIGN_DEADLINE_MS = 60_000; // a person may have to confirm, or to touch a key

/** Lists the keys an agent holds. @throws Error when it cannot be reached or does not answer in 5 s */
export function agentKeys(path: string, clock: Clock): Promise<ParsedKey[]> {
  const answer = new Promise<ParsedKey[]>((resolve, reject) => {
    new OpenSSHAgent(path).getIdentities((error, keys) => {
      if (error) reject(error);
      else resolve((keys ?? []) as ParsedKey[]); // OpenSSHAgent parses each (ssh2 lib/agent.js)
    });
  });
  return withDeadline(answer, { ms: LIST_DEADLINE_MS, what: "the agent gave no list of its keys", clock });
}

/**
 * An agent that offers a single key of another. ssh2 tries all keys of an agent within one method and tells neither which
 * were refused nor what the server said; with one key each, the order and the account of it are ours.
 */
export class OneKeyAgent extends BaseAgent<ParsedKey> {
  readonly #agent: OpenSSHAgent;
  readonly #key: ParsedKey;
  readonly #clock: Clock;

  constructor(path: string, key: ParsedKey, clock: Clock) {
    super();
    this.#agent = new OpenSSHAgent(path);
    this.#key = key;
    this.#clock = clock;
  }

  override getIdentities(callback: (error?: Error | null, keys?: ParsedKey[]) => void): void {
    callback(null, [this.#key]);
  }

  override sign(
    key: ParsedKey,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    callback?: SignCallback,
  ): void {
    const done = typeof options === "function" ? options : callback;
    const request = typeof options === "function" ? {} : options;
    const signature = new Promise<Buffer>((resolve, reject) => {
      this.#agent.sign(key, data, request, (error, signed) => {
        if (error || signed === undefined) reject(error ?? new Error("the agent gave no signature"));
        else resolve(signed);
      });
    });
    withDeadline(signature, {
      ms: SIGN_DEADLINE_MS,
      what: "the agent did not sign",
      clock: this.#clock,
    }).then(
      (signed) => done?.(null, signed),
      (error: Error) => done?.(error),
    );
  }
}

interface Deadline {
  ms: number;
  what: string;
  clock: Clock;
}

function withDeadline<T>(answer: Promise<T>, { ms, what, clock }: Deadline): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => reject(new Error(`${what} in ${ms / 1000} s`)));
    answer.then(resolve, reject).finally(() => timer.cancel());
  });
}
