// Looking names up (getaddrinfo(3)). Each look-up takes a thread until the resolver has answered or given up, and there are
// so many of these: names that nobody answers for must not have those of other hosts wait.
import { lookup as systemLookup, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import type { Clock } from "../shared/clock.ts";
import type { Files } from "./files.ts";

/** The resolver has not answered yet. */
export class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";
  readonly code = "ETIMEOUT"; // as dns.TIMEOUT of Node's
}

export interface LookupOptions {
  family?: 0 | 4 | 6;
  /** of getaddrinfo(3) */
  hints?: number;
  /** how long to wait, in milliseconds */
  deadlineMs: number;
  /** nobody waits any more */
  signal?: AbortSignal;
  /** who wants it: nobody has more than a few names looked up at a time */
  owner: object;
}

interface Ask {
  resolve: (addresses: LookupAddress[]) => void;
  reject: (why: Error) => void;
}

type Lane = "quick" | "new" | "slow";

interface Pending {
  name: string;
  options: { family: 0 | 4 | 6; hints: number };
  owners: Set<object>;
  asks: Set<Ask>;
  lane: Lane;
  isRunning: boolean;
}

export interface ResolverOptions {
  clock: Clock;
  files: Files;
  /** how many threads there are for look-ups */
  threads: number;
  /** getaddrinfo(3), as Node has it */
  ask?: typeof systemLookup;
}

const MOST_OF_ONE = 4;
const MOST_WAITING_OF_ONE = 256;
const QUICK_MS = 1000;
const MOST_REMEMBERED = 1000;
const HOSTS_FILE = "/etc/hosts";
const MOST_HOSTS_BYTES = 1 << 20;
const lanes: readonly Lane[] = ["quick", "new", "slow"];

/** One per daemon. */
export class Resolver {
  readonly #options: ResolverOptions;
  readonly #ask: typeof systemLookup;
  /** in the order in which they were asked for */
  readonly #pending = new Map<string, Pending>();
  /** whether names were answered soon the last time */
  readonly #wasQuick = new Map<string, boolean>();

  constructor(options: ResolverOptions) {
    this.#options = options;
    this.#ask = options.ask ?? systemLookup;
  }

  /** Whether a look-up is under way: Node waits for it when the process is to end. */
  get isBusy(): boolean {
    return this.#running().length > 0;
  }

  /**
   * The addresses of a name, in the resolver's order; a numeric one is its own. `localhost` is what /etc/hosts says, and both
   * loopbacks otherwise: neither waits for anything.
   * @throws NoAnswerError after `deadlineMs`, what Node's lookup() throws, and the signal's reason
   */
  async lookup(name: string, options: LookupOptions): Promise<LookupAddress[]> {
    const { family = 0 } = options;
    const numeric = isIP(name);
    if (numeric !== 0) return [{ address: name, family: numeric }];
    if (/^localhost\.?$/i.test(name)) {
      const found = (await this.#loopbacks()).filter((one) => family === 0 || one.family === family);
      if (found.length > 0) return found;
    }
    return this.#wait(name, options);
  }

  /** The same, for net.connect. */
  forSocket(options: Omit<LookupOptions, "family" | "hints">): LookupFunction {
    return (name, { family, hints, all }, done) => {
      const wanted = { 4: 4 as const, IPv4: 4 as const, 6: 6 as const, IPv6: 6 as const }[family ?? 0] ?? 0;
      this.lookup(name, { ...options, family: wanted, hints: hints ?? 0 }).then(
        (found) => (all === true ? done(null, found) : done(null, found[0]?.address ?? "", found[0]?.family)),
        (error: NodeJS.ErrnoException) => done(error, []),
      );
    };
  }

  // getaddrinfo has IPv6 first of two loopbacks (RFC 6724).
  async #loopbacks(): Promise<LookupAddress[]> {
    const { files } = this.#options;
    const text = await files.read(HOSTS_FILE, MOST_HOSTS_BYTES).then(
      ({ content }) => content.toString("latin1"),
      () => "",
    );
    const named = text.split("\n").flatMap((line) => {
      const [address = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
      return isIP(address) !== 0 && names.some((one) => one.toLowerCase() === "localhost") ? [address] : [];
    });
    const found = named.length > 0 ? named : ["::1", "127.0.0.1"];
    return [...new Set(found)]
      .map((address) => ({ address, family: isIP(address) }))
      .sort((one, other) => other.family - one.family);
  }

  #wait(name: string, { family = 0, hints = 0, deadlineMs, signal, owner }: LookupOptions) {
    return new Promise<LookupAddress[]>((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const waiting = [...this.#pending.values()].filter(({ owners }) => owners.has(owner));
      if (waiting.length >= MOST_WAITING_OF_ONE)
        return reject(new NoAnswerError(`${waiting.length} other names are being looked up`));
      const key = `${family} ${hints} ${name}`;
      const pending = this.#pending.get(key) ?? this.#add(key, name, { family, hints });
      const end = () => {
        timer.cancel();
        signal?.removeEventListener("abort", abort);
        this.#leave(key, pending, ask);
      };
      const ask: Ask = {
        resolve: (found) => (end(), resolve(found)),
        reject: (why) => (end(), reject(why)),
      };
      const abort = () => ask.reject(signal?.reason as Error);
      const late = () => {
        const others = pending.isRunning
          ? ""
          : `, for ${this.#running().length} other names that came first either`;
        ask.reject(new NoAnswerError(`the resolver did not answer within ${deadlineMs / 1000} s${others}`));
      };
      const timer = this.#options.clock.after(deadlineMs, late);
      signal?.addEventListener("abort", abort, { once: true });
      pending.asks.add(ask);
      pending.owners.add(owner);
      return this.#next();
    });
  }

  #add(key: string, name: string, options: Pending["options"]): Pending {
    const wasQuick = this.#wasQuick.get(name);
    const lane = wasQuick === undefined ? "new" : wasQuick ? "quick" : "slow";
    const pending = {
      name,
      options,
      lane,
      owners: new Set<object>(),
      asks: new Set<Ask>(),
      isRunning: false,
    };
    this.#pending.set(key, pending as Pending);
    return pending as Pending;
  }

  // One that is under way goes on, and whoever asks for the name again meanwhile waits for it too.
  #leave(key: string, pending: Pending, ask: Ask): void {
    pending.asks.delete(ask);
    if (pending.asks.size === 0 && !pending.isRunning && this.#pending.get(key) === pending)
      this.#pending.delete(key);
  }

  #running(): Pending[] {
    return [...this.#pending.values()].filter(({ isRunning }) => isRunning);
  }

  #next(): void {
    for (const lane of lanes)
      for (const [key, pending] of this.#pending)
        if (pending.lane === lane && !pending.isRunning && this.#mayStart(pending)) this.#start(key, pending);
  }

  // A quarter of the threads is for names that were answered soon before, and no more than one for those that were not.
  #mayStart({ lane, owners }: Pending): boolean {
    const { threads } = this.#options;
    const running = this.#running();
    const ofOne = (owner: object) => running.filter((one) => one.owners.has(owner)).length;
    const slow = running.filter((one) => one.lane === "slow").length;
    if (running.length >= (lane === "quick" ? threads : (threads * 3) / 4)) return false;
    if (lane === "slow" && slow >= threads / 4) return false;
    return [...owners].some((owner) => ofOne(owner) < MOST_OF_ONE);
  }

  #start(key: string, pending: Pending): void {
    const { clock } = this.#options;
    const { name, options, asks } = pending;
    const from = clock.monotonic();
    pending.isRunning = true;
    const ended = (error: Error | null, found: LookupAddress[]) => {
      this.#pending.delete(key);
      this.#remember(name, clock.monotonic() - from <= QUICK_MS);
      for (const ask of Array.from(asks)) {
        if (error === null) ask.resolve(found);
        else ask.reject(error);
      }
      this.#next();
    };
    try {
      this.#ask(name, { ...options, all: true, verbatim: true }, ended);
    } catch (error) {
      ended(error as Error, []); // what Node refuses to ask for
    }
  }

  #remember(name: string, isQuick: boolean): void {
    this.#wasQuick.delete(name);
    this.#wasQuick.set(name, isQuick);
    const [oldest] = this.#wasQuick.keys();
    if (this.#wasQuick.size > MOST_REMEMBERED && oldest !== undefined) this.#wasQuick.delete(oldest);
  }
}
