// ChannelTimeout of ssh_config(5): channels that carry nothing for long are closed. The data path counts nothing for it: the sockets
// that channels are joined to count their bytes themselves, and these are looked at now and then.
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import { matchesPattern } from "./known-hosts.ts";
import type { RemoteBind, RemoteOpen } from "./remote-listeners.ts";

export interface ChannelTimeout {
  /** of channel types (RFC 4254 section 7, OpenSSH PROTOCOL section 2.4), with `*` and `?`; `global`: all of them together */
  pattern: string;
  /** Infinity: never */
  ms: number;
}

/** The types of channels that forwards have. */
export type ChannelType =
  | "direct-tcpip"
  | "direct-streamlocal@openssh.com"
  | "forwarded-tcpip"
  | "forwarded-streamlocal@openssh.com";

/** What a channel is joined to. A net.Socket is one. */
export interface Carried {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  destroy(why: Error): unknown;
  once(event: "close", listener: () => void): unknown;
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Reads what `ssh -G` prints of it: `direct-tcpip=5m *=1h30 global=10`. ssh has refused what makes no sense. */
export const channelTimeouts = (value: string): ChannelTimeout[] =>
  value.split(" ").flatMap((pair) => {
    const at = pair.lastIndexOf("=");
    const seconds = at === -1 ? 0 : secondsOf(pair.slice(at + 1));
    return at === -1 ? [] : [{ pattern: pair.slice(0, at), ms: seconds === 0 ? Infinity : seconds * 1000 }];
  });

// TIME FORMATS of sshd_config(5).
const secondsOf = (time: string): number =>
  [...time.toLowerCase().matchAll(/(\d+)([smhdw]?)/g)].reduce(
    (sum, [, count, unit = ""]) => sum + Number(count) * (UNITS[unit] ?? 1),
    0,
  );

interface Watched {
  type: ChannelType;
  ms: number;
  bytes: number;
  since: number;
}

export interface IdleChannelsOptions {
  timeouts: readonly ChannelTimeout[];
  clock: Clock;
  log: Log;
}

// A channel is closed within this share of its time after that is over.
const LOOKS = 8;
const SHORTEST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 60_000;
const MOST_AT_ONCE = 256;

/** The channels of one connection whose idleness matters. */
export class IdleChannels {
  readonly #options: IdleChannelsOptions;
  readonly #watched = new Map<Carried, Watched>();
  readonly #globalMs: number;
  readonly #pauseMs: number;
  #activeAt = 0;
  #timer: Timer | undefined;

  constructor(options: IdleChannelsOptions) {
    this.#options = options;
    const { timeouts } = options;
    // Wildcards do not mean it, and of several the last one counts (channels.c, channel_add_timeout).
    this.#globalMs = timeouts.findLast(({ pattern }) => pattern === "global")?.ms ?? Infinity;
    const shortest = Math.min(...timeouts.map(({ ms }) => ms)) / LOOKS;
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, shortest));
  }

  /** What watches a channel of a type, from when it is joined to something; undefined where it may be idle for ever. */
  watchOf(type: ChannelType): ((carried: Carried) => void) | undefined {
    const { timeouts } = this.#options;
    if (timeouts.length === 0) return undefined;
    const ms =
      timeouts.find(({ pattern }) => pattern !== "global" && matchesPattern(type, pattern))?.ms ?? Infinity;
    if (ms === Infinity && this.#globalMs === Infinity) return undefined;
    return (carried) => this.#watch(carried, type, ms);
  }

  /** Has those that the server opens for a listener watched as well. */
  watching(bind: RemoteBind, onOpen: (open: RemoteOpen) => void): (open: RemoteOpen) => void {
    const type = "path" in bind ? "forwarded-streamlocal@openssh.com" : "forwarded-tcpip";
    const watch = this.watchOf(type);
    if (watch === undefined) return onOpen;
    return (open) => onOpen({ ...open, accept: () => ({ ...open.accept(), watch }) });
  }

  #watch(carried: Carried, type: ChannelType, ms: number): void {
    const since = this.#options.clock.monotonic();
    this.#activeAt = since;
    this.#watched.set(carried, { type, ms, bytes: bytesOf(carried), since });
    carried.once("close", () => {
      this.#watched.delete(carried);
      if (this.#watched.size > 0) return;
      this.#timer?.cancel();
      this.#timer = undefined;
    });
    this.#timer ??= this.#next();
  }

  #next = (): Timer => this.#options.clock.after(this.#pauseMs, () => this.#look());

  // In shares: of thousands of sockets that would take longer than a turn may.
  #look(carried: readonly Carried[] = [...this.#watched.keys()]): void {
    const now = this.#options.clock.monotonic();
    for (const one of carried.slice(0, MOST_AT_ONCE)) this.#judge(one, now);
    const rest = carried.slice(MOST_AT_ONCE);
    if (rest.length === 0 && now - this.#activeAt >= this.#globalMs)
      for (const [one, watched] of this.#watched) this.#close(one, watched, now);
    this.#timer = undefined;
    if (this.#watched.size === 0) return;
    this.#timer = rest.length === 0 ? this.#next() : this.#options.clock.after(0, () => this.#look(rest));
  }

  #judge(carried: Carried, now: number): void {
    const watched = this.#watched.get(carried);
    if (watched === undefined) return;
    const bytes = bytesOf(carried);
    if (bytes !== watched.bytes) [watched.bytes, watched.since, this.#activeAt] = [bytes, now, now];
    else if (now - watched.since >= watched.ms) this.#close(carried, watched, now);
  }

  #close(carried: Carried, { type, since }: Watched, now: number): void {
    const idleMs = Math.round(now - since);
    this.#options.log.info({ type, idleMs }, "idle channel closed (ChannelTimeout)");
    // With an error: what still waits in the channel is not waited for.
    carried.destroy(new Error(`idle for ${Math.round(idleMs / 1000)} s: closed by ChannelTimeout`));
  }
}

const bytesOf = ({ bytesRead, bytesWritten }: Carried): number => bytesRead + bytesWritten;
