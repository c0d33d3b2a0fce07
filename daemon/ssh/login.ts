// User authentication (RFC 4252): which method to try next, in ssh's order, and what to say when none is left.
import type { AnyAuthMethod, AuthHandlerMiddleware } from "ssh2";
import type { Clock, Timer } from "../../shared/clock.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import { type Caller, unanswered } from "./caller.ts";
import { undoneOf } from "./authentication-config.ts";
import { type HostConfig, whereOf } from "./host-config.ts";
import type { Identities } from "./identities.ts";
import { Interrogation, wipe } from "./interrogation.ts";
import { halfwayText, type LoginMemory } from "./login-memory.ts";
import { algorithmFor, type LockedOffer, type Offer, shownKey } from "./offer.ts";
import type { Outstanding } from "./outstanding.ts";
import { listed, names } from "./said.ts";
import type { UserAuth } from "./ssh2/user-auth.ts";

export interface LoginOptions {
  config: HostConfig;
  identities: Identities;
  caller: Caller;
  clock: Clock;
  /** is told of what a person may still have to do */
  outstanding: Outstanding;
  /** is told what the server wants beyond a first factor */
  memory: LoginMemory;
}

// An agent that refuses sooner has asked nobody: it is locked, or keeps the key for other hosts.
const ASKED_SOMEBODY_MS = 2000;
// Behind an answer that it has had for so long a server may be waiting for a person: a push to their telephone.
const PUSH_MS = 10_000;

// What the machine-readable half of a failure repeats of a server's list.
const MOST_DETAILS = 100;
// What is remembered of it for each host.
const MOST_WANTED = 16;

type Method = AnyAuthMethod | undefined;

const nothing = (): void => undefined;

// What ssh2 says where nothing is left to try (lib/client.js): no words of a server's.
const NOTHING_LEFT = "All configured authentication methods failed";

const isUnanswered = (error: unknown): boolean =>
  error instanceof TundError && error.code === "PROMPT_UNANSWERED";

// As many factors as no server wants. One that calls every try a partial success would have keys and people asked for ever.
const MOST_FACTORS = 10;

/** The course of one login. `none` goes first, as in ssh: it costs a round trip and tells what the server accepts. */
export class Login {
  readonly #options: LoginOptions;
  readonly #interrogation: Interrogation;
  readonly #tried: string[] = [];
  /** what succeeded of several things that the server wants: `key`, or the method's name */
  readonly #succeeded: string[] = [];
  /** keys of agents that somebody had to agree to the use of, and did not */
  readonly #refused: string[] = [];
  readonly #needed: string[] = [];
  readonly #passed = new Set<Offer | LockedOffer>();
  #offers: (Offer | LockedOffer)[];
  /** `from` is what it was before it was opened */
  #current: { offer: Offer; from: Offer | LockedOffer; algorithm: string } | undefined;
  #accepted: readonly string[] = [];
  #spent = new Set<string>();
  #factors = 0;
  #isFirst = true;
  #begin: (method: AnyAuthMethod) => void = () => undefined;
  #wire: UserAuth | undefined;
  #onFailure: (error: unknown) => void = () => undefined;
  #onVerdict = nothing;

  constructor(options: LoginOptions) {
    this.#options = options;
    this.#offers = [...options.identities.offers];
    this.#interrogation = new Interrogation(options.config, options.caller);
  }

  /** To be called when the client has been told to connect. `onFailure` ends the attempt: something broke, or was not answered. */
  speakOver(wire: UserAuth, onFailure: (error: unknown) => void): void {
    this.#wire = wire;
    this.#onFailure = onFailure;
  }

  /** To be called when the server has let us in. */
  succeeded(): void {
    this.#onVerdict();
    if (this.#succeeded.length === 0) this.#options.memory.forget(this.#options.config);
  }

  readonly handler: AuthHandlerMiddleware = (accepted, isPartial, next) => {
    this.#begin = next;
    this.#onVerdict();
    // null on the first call, whatever the types say (ssh2 lib/client.js).
    if (Array.isArray(accepted)) this.#accepted = names(accepted);
    this.#guard(this.#next(isPartial ?? false));
  };

  /** The server takes the key that it was asked about: proves that we have it. */
  keyAccepted(): void {
    if (this.#current !== undefined) this.#guard(this.#prove(this.#current));
  }

  /** The server wants another password than the one it was given. */
  passwordExpired(message: string): void {
    this.#guard(
      this.#interrogation
        .newPassword(message)
        .then(({ old, fresh }) => this.#wire?.changePassword(old, fresh)),
    );
  }

  #guard(step: Promise<void>): void {
    step.catch((error: unknown) => this.#onFailure(error));
  }

  async #next(isPartial: boolean): Promise<void> {
    if (isPartial) this.#stepForward();
    await this.#advance();
  }

  // One of several methods that the server wants has succeeded: all are there to be tried again (sshconnect2.c), but for
  // the key that has served.
  #stepForward(): void {
    this.#noteHalfway();
    if (++this.#factors > MOST_FACTORS)
      throw new TundError(
        "AUTH_FAILED",
        `${whereOf(this.#options.config)} wants more than ${MOST_FACTORS} factors of authentication, one after the other`,
      );
    if (this.#current !== undefined) this.#passed.add(this.#current.from);
    this.#offers = this.#options.identities.offers.filter((offer) => !this.#passed.has(offer));
    this.#spent.clear();
    this.#interrogation.again();
  }

  #noteHalfway(): void {
    const { config, memory } = this.#options;
    const label = this.#tried.pop(); // the last that was tried
    if (label !== undefined) this.#succeeded.push(this.#current === undefined ? label : "key");
    memory.keep(config, { accepted: [...this.#succeeded], wants: this.#accepted.slice(0, MOST_WANTED) });
  }

  async #advance(): Promise<void> {
    this.#current = undefined;
    this.#wire?.askNothing();
    const method = await this.#choose();
    // `false` ends the login; the types do not know it.
    this.#begin(method ?? (false as unknown as AnyAuthMethod));
    wipe(method); // the packet is made
  }

  async #choose(): Promise<Method> {
    const { config } = this.#options;
    if (this.#isFirst) {
      this.#isFirst = false;
      return { type: "none", username: config.user };
    }
    for (const name of config.authentications) {
      if (!this.#accepted.includes(name) || this.#spent.has(name)) continue;
      const method = name === "publickey" ? await this.#nextKey() : await this.#interrogate(name);
      if (method !== undefined) return method;
      this.#spent.add(name);
    }
    return undefined;
  }

  async #nextKey(): Promise<Method> {
    const { config, identities } = this.#options;
    for (let from = this.#offers.shift(); from !== undefined; from = this.#offers.shift()) {
      const offer = await this.#opened(from);
      if (offer === undefined) continue;
      const server = this.#wire?.algorithmsFor(offer.blob) ?? null;
      const algorithm = algorithmFor(offer.blob, config.publicKeyAlgorithms, server);
      if (algorithm === null) {
        identities.skipped.push(`${offer.label}: no signature algorithm for it is accepted on both sides`);
        continue;
      }
      this.#current = { offer, from, algorithm };
      this.#tried.push(offer.label);
      this.#wire?.askAbout(algorithm, offer.blob);
      return { type: "none", username: config.user };
    }
    return undefined;
  }

  /** Undefined where it is not opened. */
  async #opened(offer: Offer | LockedOffer): Promise<Offer | undefined> {
    if (!("open" in offer)) return offer;
    try {
      return await offer.open();
    } catch (error) {
      this.#noteUnusable(offer.label, error);
      return undefined;
    }
  }

  /** @throws what it is given, where somebody was there and would not answer */
  #noteUnusable(label: string, error: unknown): void {
    if (isUnanswered(error) && this.#options.caller.isPresent) throw error;
    if (isUnanswered(error) && !this.#options.config.isBatch) this.#needed.push(`the passphrase of ${label}`);
    this.#options.identities.skipped.push(`${label}: ${messageOf(error)}`);
  }

  async #interrogate(name: string): Promise<Method> {
    const { config, caller } = this.#options;
    const what = name === "password" ? "a password" : "answers (keyboard-interactive)";
    if (!caller.isPresent && !this.#interrogation.remembers(name)) {
      if (!config.isBatch) this.#needed.push(`${what} for ${config.user}@${config.hostname}`);
      return undefined;
    }
    const method = await this.#interrogation.method(name, (error) => this.#onFailure(error));
    if (method === undefined) return undefined;
    this.#tried.push(name);
    this.#awaitVerdict(name);
    return method;
  }

  // A server that says nothing for long behind an answer may have somebody asked elsewhere.
  #awaitVerdict(name: string): void {
    const { clock, outstanding } = this.#options;
    let settle = nothing;
    const verdict = new Promise<void>((resolve) => (settle = resolve));
    const what = `the server's verdict on ${name}, for which it may ask somebody elsewhere`;
    const timer: Timer = clock.after(PUSH_MS, () => void outstanding.during(what, verdict));
    this.#onVerdict = () => {
      timer.cancel();
      settle();
    };
  }

  async #prove({ offer, algorithm }: { offer: Offer; algorithm: string }): Promise<void> {
    const wire = this.#wire;
    if (wire === undefined) return;
    const { clock, outstanding } = this.#options;
    const began = clock.monotonic();
    let signature: Buffer;
    try {
      const signing = offer.sign(wire.toBeSigned(algorithm, offer.blob), algorithm);
      signature = await outstanding.during(`a signature by ${offer.label}`, signing);
    } catch (error) {
      this.#noteUnusable(offer.label, error);
      if (!isUnanswered(error) && clock.monotonic() - began >= ASKED_SOMEBODY_MS)
        this.#refused.push(offer.label);
      this.#tried.pop();
      return this.#advance();
    }
    wire.prove(algorithm, offer.blob, signature);
  }

  /** The key that the server was content with, as shownKey() has it; null where it wanted another thing as well, or instead. */
  get acceptedKey(): string | null {
    const isByKeysAlone = this.#current !== undefined && this.#passed.size === this.#factors;
    return isByKeysAlone ? shownKey(this.#current?.offer.blob ?? Buffer.alloc(0)) : null;
  }

  /** Why the login failed: what the server accepts, what was tried, what could not be. @param said what ended it, in words */
  failure(said: string): TundError {
    const { config, identities } = this.#options;
    const skipped = [...identities.skipped, ...undoneOf(config, this.#accepted)];
    const where = whereOf(config);
    const accepted = listed(this.#accepted);
    const isHalfway = this.#succeeded.length > 0;
    const parts = [
      isHalfway
        ? halfwayText({ accepted: this.#succeeded }, accepted)
        : `${where} accepts ${accepted || "nothing that it names"}`,
      ...(this.#tried.length > 0 ? [`refused: ${listed(this.#tried)}`] : []),
      ...(this.#tried.length === 0 && !isHalfway ? ["tund had no key to offer"] : []),
      ...(skipped.length > 0 ? [`not offered: ${listed(skipped)}`] : []),
      ...(said === NOTHING_LEFT ? [] : [`the server says: ${said}`]),
      ...(/too many/i.test(said)
        ? ["the server allows no more tries: set IdentitiesOnly and IdentityFile"]
        : []),
    ];
    const details = {
      accepted: this.#accepted.slice(0, MOST_DETAILS),
      succeeded: [...this.#succeeded],
      tried: [...this.#tried],
      skipped: [...skipped],
    };
    const account = `authentication failed${isHalfway ? ` at ${where}` : ""}: ${parts.join("; ")}`;
    if (this.#refused.length > 0)
      return new TundError(
        "PROMPT_UNANSWERED",
        `${account}; nobody agreed to the use of ${listed(this.#refused)}: run 'tunctl connect ${config.host}' where you can`,
        { details },
      );
    if (this.#needed.length === 0) return new TundError("AUTH_FAILED", account, { details });
    const needed = unanswered(
      this.#needed.join(" or "),
      `nobody is there to give it: run 'tunctl connect ${config.host}' in a terminal`,
    );
    return new TundError("PROMPT_UNANSWERED", `${account}; ${needed.message}`, { details });
  }
}
