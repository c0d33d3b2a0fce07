// Identities that were opened with a passphrase: each is open once, for as long as somebody's login needs it.
import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../shared/clock.ts";
import { messageOf } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Files } from "../files.ts";
import type { Children } from "./children.ts";
import { bareKey, type Sign } from "./offer.ts";
import { OwnAgent, type OwnAgentOptions, ToolFailure } from "./own-agent.ts";
import { decrypt, type PrivateKey, signWith } from "./private-key.ts";

/** A key that is open, for whoever holds it. */
export interface OpenKey {
  /** its public half */
  blob: Buffer;
  /** Whether it can sign still: an agent may have ended. Never rejects. */
  isThere(): Promise<boolean>;
  sign: Sign;
  /** It is not needed any more. A second call does nothing. */
  release(): void;
}

/** An identity file. */
export interface KeyToOpen {
  path: string;
  /** its public half; null when only the passphrase tells */
  blob: Buffer | null;
}

export interface KeyRingOptions extends OwnAgentOptions {
  /** path of ssh2's key parser, for identities that are opened without OpenSSH's tools */
  parser: string;
  files: Files;
  log: Log;
}

/** What signs with a key, as long as it is there. */
type Signer = Pick<OpenKey, "isThere" | "sign">;

interface Entry {
  path: string;
  blob: Buffer;
  holders: number;
  signer: Signer | undefined;
  /** the passphrase that opened it, as `#mark` has it */
  opened: string;
  /** settles when the opening before has come to its end */
  turn: Promise<unknown>;
}

const MOST_AT_ONCE = 4;
const MOST_WAITING = 256;

/** The keys of a daemon that are open. */
export class KeyRing {
  readonly #agent: OwnAgent;
  readonly #children: Children;
  readonly #clock: Clock;
  readonly #env: NodeJS.ProcessEnv;
  readonly #files: Files;
  readonly #parser: string;
  readonly #log: Log;
  readonly #entries = new Map<string, Entry>();
  readonly #secret = randomBytes(32);
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(options: KeyRingOptions) {
    this.#agent = new OwnAgent(options);
    this.#children = options.children;
    this.#clock = options.clock;
    this.#env = options.env;
    this.#files = options.files;
    this.#parser = options.parser;
    this.#log = options.log;
  }

  /**
   * Opens a file, or joins those who have it open with the same passphrase. Whoever gets it releases it.
   * @throws WrongPassphrase; Error when it cannot be opened for another reason
   */
  async open({ path, blob }: KeyToOpen, passphrase: string, signal: AbortSignal): Promise<OpenKey> {
    const own = bareKey(blob ?? (await this.#oneOfFew(() => this.#publicHalf(path, passphrase, signal))));
    const entry = this.#enter(path, own);
    try {
      const signer = await inTurn(entry, () => this.#signerOf(entry, passphrase, signal));
      let isHeld = true;
      return {
        blob: own,
        isThere: async () => isHeld && (await signer.isThere()),
        sign: signer.sign,
        release: () => {
          if (isHeld) this.#leave(entry);
          isHeld = false;
        },
      };
    } catch (error) {
      this.#leave(entry);
      throw error;
    }
  }

  /** Ends the agent, with all that it holds. */
  close(): void {
    this.#agent.stop();
  }

  async #signerOf(entry: Entry, passphrase: string, signal: AbortSignal): Promise<Signer> {
    const mark = this.#mark(passphrase);
    const { signer } = entry;
    if (signer !== undefined && entry.opened === mark && (await signer.isThere())) return signer;
    entry.signer = await this.#oneOfFew(() => this.#opened(entry, passphrase, signal));
    entry.opened = mark;
    return entry.signer;
  }

  // Whether a passphrase is the one that opened it, of which nothing is kept that would tell it.
  #mark(passphrase: string): string {
    return createHmac("sha256", this.#secret).update(passphrase).digest("base64");
  }

  async #publicHalf(path: string, passphrase: string, signal: AbortSignal): Promise<Buffer> {
    try {
      return await this.#agent.publicHalf(path, passphrase, signal);
    } catch (error) {
      if (!(error instanceof ToolFailure)) throw error;
      return (await this.#decrypted(path, passphrase, signal)).blob;
    }
  }

  async #opened(entry: Entry, passphrase: string, signal: AbortSignal): Promise<Signer> {
    const { path } = entry;
    try {
      return await this.#byAgent(entry, passphrase, signal);
    } catch (error) {
      if (!(error instanceof ToolFailure)) throw error;
      this.#log.warn({ path, why: messageOf(error) }, "identity opened without ssh-add");
    }
    const key = await this.#decrypted(path, passphrase, signal);
    if (!key.blob.equals(entry.blob)) throw otherKey(path);
    return { isThere: async () => true, sign: (data, algorithm) => signWith(key, data, algorithm) };
  }

  #decrypted(path: string, passphrase: string, signal: AbortSignal): Promise<PrivateKey> {
    return decrypt({
      path,
      passphrase,
      files: this.#files,
      env: this.#env,
      parser: this.#parser,
      children: this.#children,
      clock: this.#clock,
      signal,
    });
  }

  async #byAgent({ path, blob }: Entry, passphrase: string, signal: AbortSignal): Promise<Signer> {
    const agent = this.#agent;
    await agent.add(path, passphrase, signal);
    if (!(await agent.holds(blob))) {
      this.#tidy();
      throw otherKey(path);
    }
    return {
      isThere: () => agent.holds(blob),
      sign: (data, algorithm) => agent.sign(blob, data, algorithm),
    };
  }

  #enter(path: string, blob: Buffer): Entry {
    const name = blob.toString("base64");
    const found = this.#entries.get(name);
    const entry = found ?? { path, blob, holders: 0, signer: undefined, opened: "", turn: Promise.resolve() };
    entry.holders++;
    this.#entries.set(name, entry);
    return entry;
  }

  #leave(entry: Entry): void {
    if (--entry.holders > 0) return;
    this.#entries.delete(entry.blob.toString("base64"));
    this.#tidy();
  }

  // The agent holds what has an entry, and nothing else; with nothing to hold it is not there.
  #tidy(): void {
    if (this.#entries.size === 0) return this.#agent.stop();
    const isWanted = (blob: Buffer) => this.#entries.has(bareKey(blob).toString("base64"));
    this.#agent.keepOnly(isWanted).catch((error: unknown) => {
      this.#log.warn({ why: messageOf(error) }, "tund's own agent does not let a key go: it is ended");
      this.#agent.stop();
    });
  }

  /** @throws Error when too many wait already */
  async #oneOfFew<T>(run: () => Promise<T>): Promise<T> {
    if (this.#running >= MOST_AT_ONCE) {
      if (this.#queue.length >= MOST_WAITING) throw new Error("too many keys are being opened: try it again");
      await new Promise<void>((begin) => this.#queue.push(begin));
    } else this.#running++;
    try {
      return await run();
    } finally {
      // Its place goes to the next one.
      const next = this.#queue.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

const otherKey = (path: string): Error => new Error(`it is another key than ${path}.pub`);

function inTurn<T>(entry: Entry, run: () => Promise<T>): Promise<T> {
  const mine = entry.turn.then(run);
  entry.turn = mine.catch(() => undefined);
  return mine;
}
