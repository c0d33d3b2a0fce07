// An authentication agent (draft-ietf-sshm-ssh-agent): certificates and security keys are keys like others here, which ssh2's
// own client leaves out. How long one is waited for is whose business it is that asks: behind a login's own there may be a person
// who is asked to unlock it, to touch a key, or to agree.
import { connect, type Socket } from "node:net";
import type { Clock, Timer } from "../../shared/clock.ts";
import { messageOf } from "../../shared/errors.ts";
import { Reader, sshString, uint32 } from "../wire-format.ts";

const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
const REMOVE_IDENTITY = 18;
const SUCCESS = 6;
const EXTENSION = 27;

/** How long an agent is waited for, in milliseconds; Infinity: for as long as its connection is there. */
export interface AgentLimits {
  signMs: number;
  /** for everything else */
  answerMs: number;
}

/** For an agent that asks nobody. */
const ALONE: AgentLimits = { answerMs: 5000, signMs: 60_000 };

const HEAD_BYTES = 4; // the length before each answer
const MOST_BYTES = 256 * 1024; // ssh-agent's own limit (authfd.c)

const signFlags: ReadonlyMap<string, number> = new Map([
  ["rsa-sha2-256", 2],
  ["rsa-sha2-512", 4],
]);

/** A key that an agent holds: its blob, or its certificate's. */
export interface AgentKey {
  blob: Buffer;
  comment: string;
}

/** What an agent said nothing to within the limit. */
export class SilentAgent extends Error {}

/** One connection to an agent, for one login. */
export class Agent {
  readonly path: string;
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #limits: AgentLimits;
  #received: Buffer[] = [];
  #length = 0;
  /** how many bytes of it tell something new */
  #wanted = HEAD_BYTES;
  #failure: Error | undefined;
  #waiting: { resolve: (answer: Buffer) => void; reject: (why: Error) => void }[] = [];

  constructor(path: string, clock: Clock, limits = ALONE) {
    this.path = path;
    this.#limits = limits;
    this.#clock = clock;
    this.#socket = connect(path);
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#socket.on("error", (error) => this.#end(error));
    this.#socket.once("close", () => this.#end(new Error("the agent closed the connection")));
  }

  /** The keys it holds. @throws Error when it cannot be reached or makes no sense; SilentAgent */
  async keys(): Promise<AgentKey[]> {
    const answer = await this.#ask(
      Buffer.from([REQUEST_IDENTITIES]),
      this.#limits.answerMs,
      "gave no list of its keys",
    );
    const reader = new Reader(answer);
    if (reader.byte() !== IDENTITIES_ANSWER) throw new Error("the agent gives no list of its keys");
    const keys: AgentKey[] = [];
    for (let left = reader.uint32(); left > 0; left--)
      keys.push({ blob: reader.string(), comment: reader.text() });
    return keys;
  }

  /**
   * Has it sign. @param algorithm the signature's: it chooses the hash for RSA keys
   * @returns the signature with its algorithm before it (RFC 4253 section 6.6)
   * @throws Error when it refuses; SilentAgent
   */
  async sign(blob: Buffer, data: Buffer, algorithm: string): Promise<Buffer> {
    const flags = signFlags.get(algorithm.replace("-cert-v01@openssh.com", "")) ?? 0;
    const request = [Buffer.from([SIGN_REQUEST]), sshString(blob), sshString(data), uint32(flags)];
    const answer = new Reader(await this.#ask(Buffer.concat(request), this.#limits.signMs, "did not sign"));
    if (answer.byte() !== SIGN_RESPONSE) throw new Error("the agent refused to sign");
    return answer.string();
  }

  /** Has it drop a key. @throws Error when it does not; SilentAgent */
  async remove(blob: Buffer): Promise<void> {
    const request = Buffer.concat([Buffer.from([REMOVE_IDENTITY]), sshString(blob)]);
    const answer = await this.#ask(request, this.#limits.answerMs, "did not drop a key");
    if (answer[0] !== SUCCESS) throw new Error("the agent keeps a key that it was told to drop");
  }

  /**
   * Tells it which server this connection logs in to: keys that are constrained to certain hosts are not given otherwise
   * (PROTOCOL.agent, session-bind@openssh.com). An agent that does not know that is as good as before, and one that is busy
   * asking a person answers when it is done: an ssh-agent asks for one connection and has all others wait.
   */
  async bind({
    hostKey,
    sessionId,
    signature,
  }: {
    hostKey: Buffer;
    sessionId: Buffer;
    signature: Buffer;
  }): Promise<void> {
    const request = [
      Buffer.from([EXTENSION]),
      sshString("session-bind@openssh.com"),
      ...[hostKey, sessionId, signature].map(sshString),
      Buffer.from([0]), // not forwarded
    ];
    await this.#ask(Buffer.concat(request), Infinity, "was not told of the host");
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(request: Buffer, ms: number, what: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      const timer: Timer = this.#clock.after(ms, () =>
        this.#end(new SilentAgent(`the agent ${what} in ${ms / 1000} s`)),
      );
      this.#waiting.push({
        resolve: (answer) => (timer.cancel(), resolve(answer)),
        reject: (why) => (timer.cancel(), reject(why)),
      });
      this.#socket.write(sshString(request));
      return undefined;
    });
  }

  // Nothing is copied before there is all of it: an agent may answer byte by byte.
  #take(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= this.#wanted) {
      const all = Buffer.concat(this.#received);
      this.#received = [all];
      const length = all.readUInt32BE();
      if (length === 0 || length > MOST_BYTES || this.#waiting.length === 0)
        return this.#end(new Error("the agent's answer makes no sense"));
      this.#wanted = HEAD_BYTES + length;
      if (this.#length < this.#wanted) return undefined;
      this.#waiting.shift()?.resolve(all.subarray(HEAD_BYTES, this.#wanted));
      this.#received = [all.subarray(this.#wanted)];
      this.#length -= this.#wanted;
      this.#wanted = HEAD_BYTES;
    }
    return undefined;
  }

  #end(error: Error): void {
    this.#failure ??= error instanceof SilentAgent ? error : new Error(messageOf(error), { cause: error });
    this.#socket.destroy();
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}
