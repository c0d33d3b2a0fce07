// One authenticated SSH connection: channels, liveness, and a single end. It is never reused: ssh2's Client does not survive that.
import type { NegotiatedAlgorithms } from "ssh2";
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import { formatAddress } from "../../shared/forward-spec.ts";
import type { Log } from "../../shared/log.ts";
import type { Channel, Originator } from "./channel.ts";
import { type ChannelType, IdleChannels } from "./channel-timeouts.ts";
import { channelFailure, closedByServer, connectionFailure } from "./failure.ts";
import { type HostConfig, whereOf } from "./host-config.ts";
import { Keepalive, signOfLife } from "./keepalive.ts";
import { Link } from "./link.ts";
import { Loans } from "./loans.ts";
import { MasterSocket } from "./master-socket.ts";
import { type BothWays, Rekeying } from "./rekeying.ts";
import {
  type RemoteBind,
  type RemoteListening,
  RemoteListeners,
  type RemoteOpen,
} from "./remote-listeners.ts";
import { ReceiveWindows, type WindowBudget } from "./receive-window.ts";
import type { Wire } from "./wire.ts";
import { type ChannelStream, endOnce, faultOfChannel } from "./ssh2/channels.ts";
import type { SshClient } from "./ssh2/client.ts";

const GOODBYE_MS = 1000;

type StartOpening = (done: (error: Error | undefined, stream: ChannelStream) => void) => void;

/** What there is to be told of a connection. */
export interface Figures {
  /** its own end, where it is a TCP connection of its own */
  local: string | null;
  remote: string;
  algorithms: {
    kex: string;
    hostKey: string;
    cipher: { in: string; out: string };
    mac: { in: string; out: string };
    compression: { in: string; out: string };
  };
  bytes: { in: number; out: number };
}

interface ConnectionParts {
  client: SshClient;
  socket: Wire;
  config: HostConfig;
  clock: Clock;
  windowBudget: WindowBudget;
  log: Log;
}

export class Connection {
  readonly #client: SshClient;
  readonly #socket: Wire;
  readonly #config: HostConfig;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #link: Link;
  readonly #listeners: RemoteListeners;
  readonly #windows: ReceiveWindows;
  readonly #idle: IdleChannels;
  #keepalive: Keepalive | undefined;
  #rekeying: Rekeying | undefined;
  #failure: TundError | undefined;
  #roundTripMs: number | null = null;
  #shortestMs: number | undefined;
  #negotiated: NegotiatedAlgorithms | undefined;

  /** What a person should know of how it came up. */
  readonly warnings: string[] = [];
  /** The key that it logged in with, as shownKey() has it; null: somebody typed something, or the server wanted nothing. */
  acceptedKey: string | null = null;
  /** The address that was reached, with its port. */
  readonly address: string;
  /** Settles when the connection is gone: why, or undefined when it was asked to close. */
  readonly closed: Promise<TundError | undefined>;

  constructor({ client, socket, config, clock, windowBudget, log }: ConnectionParts) {
    this.#client = client;
    this.#socket = socket;
    this.#config = config;
    this.#clock = clock;
    this.#log = log;
    if (config.keepaliveDoubt !== null) this.warnings.push(config.keepaliveDoubt);
    // What a key exchange consists of is kept until its end.
    const loans = new Loans((memory) => client.isExchangingKeys || client.keepsPartOf(memory));
    this.#link = new Link(socket, loans, () => client.isExchangingKeys);
    this.#windows = new ReceiveWindows(client, {
      budget: windowBudget,
      roundTripMs: () => this.#shortestMs,
      now: () => clock.monotonic(),
    });
    this.#idle = new IdleChannels({ timeouts: config.link.channelTimeouts, clock, log });
    this.#listeners = new RemoteListeners(client, (stream) => this.#channel(stream), whereOf(config));
    this.address = formatAddress(socket.remoteAddress ?? config.hostname, config.port);
    const stopWatching = () => [this.#keepalive, this.#rekeying].forEach((one) => one?.stop());
    let closing = false;
    this.close = () => {
      if (closing) return;
      closing = true;
      stopWatching();
      client.end();
      // end() alone leaves the socket to the peer, and destroy() of ssh2 does nothing after it.
      clock.after(GOODBYE_MS, () => socket.destroy());
    };
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        stopWatching();
        resolve(closing ? undefined : (this.#failure ?? this.#lost(closedByServer(this.#windows.size))));
      });
    });
    client.onHandshake((negotiated) => {
      this.#negotiated = negotiated;
      this.#rekeying?.renewed(this.#ciphers);
      this.#link.release();
    });
    client.onError((error) => {
      this.#failure ??= this.#lost(error);
    });
  }

  /** Says goodbye and ends the connection; the socket is gone within a second. */
  readonly close: () => void;

  /** Starts what an established connection needs: keepalive, new keys, and the rule that any error or FIN is its end. */
  established(): void {
    const { keepaliveIntervalMs: intervalMs, keepaliveCountMax: countMax } = this.#config;
    this.#windows.begin();
    this.#client.reuseMemory(this.#link.loans);
    if (this.#socket instanceof MasterSocket) this.#socket.lend(this.#link.loans);
    this.#client.onError(() => this.#socket.destroy());
    this.#socket.once("end", () => this.#socket.destroy());
    if (intervalMs > 0)
      this.#keepalive = new Keepalive({
        intervalMs,
        countMax,
        clock: this.#clock,
        received: () => this.#socket.bytesRead,
        probe: (onReply) => this.#ping(onReply),
        onDead: () => {
          const seconds = (intervalMs * (countMax + 1)) / 1000;
          this.#end(this.#lost(new Error(`no sign of life for ${seconds} s`)));
        },
      });
    this.#rekeying = this.#startRekeying();
    // The first answer waits until the server has set up its session process: the second one tells the round trip.
    this.#ping(() => this.#ping(() => undefined));
  }

  /** The server's software version, as it introduced itself. */
  get server(): string | null {
    return this.#client.serverVersion;
  }

  /** How its keys were exchanged, the last time (RFC 4253 section 7.1). */
  get kex(): string | null {
    return this.#negotiated?.kex ?? null;
  }

  /** The last round trip that was measured, in milliseconds. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /** What there is to be told of it. */
  get figures(): Figures {
    const { localAddress, localPort, bytesRead, bytesWritten } = this.#socket;
    const { kex = "", serverHostKey: hostKey = "", cs, sc } = this.#negotiated ?? {};
    const both = (of: "cipher" | "mac" | "compress") => ({ in: sc?.[of] ?? "", out: cs?.[of] ?? "" });
    const hasEnd = localAddress !== undefined && localPort !== undefined;
    return {
      local: hasEnd ? formatAddress(localAddress, localPort) : null,
      remote: this.address,
      algorithms: { kex, hostKey, cipher: both("cipher"), mac: both("mac"), compression: both("compress") },
      bytes: { in: bytesRead, out: bytesWritten },
    };
  }

  /** Asks the peer for an answer: the round trip in ms; null where it lives and answers nothing. @throws TundError PROBE_TIMEOUT, CONNECTION_LOST */
  async probe(deadlineMs: number): Promise<number | null> {
    const life = await signOfLife(
      {
        clock: this.#clock,
        received: () => this.#socket.bytesRead,
        ping: (onPong) => this.#ping(onPong),
      },
      deadlineMs,
    );
    if (life.round === "answered") return life.ms;
    if (life.round === "unmeasured") return null;
    if (life.round === "over") throw this.#lost(new Error("no answer to the probe"));
    const what = `${whereOf(this.#config)} gave no sign of life within ${deadlineMs / 1000} s`;
    throw new TundError("PROBE_TIMEOUT", what);
  }

  /** Ends the connection unless the peer gives a sign of life within the deadline, in ms. */
  verify(deadlineMs: number): void {
    const before = this.#socket.bytesRead;
    this.#ping(() => undefined);
    this.#clock.after(deadlineMs, () => {
      if (this.#socket.bytesRead !== before) return;
      this.#end(
        this.#lost(new Error(`no sign of life within ${deadlineMs / 1000} s of the network's change`)),
      );
    });
  }

  /** Opens a channel to a path, or to a host and port. @throws TundError CHANNEL_*, CONNECTION_LOST */
  async openChannel(
    from: Originator,
    to: { path: string } | { host: string; port: number },
  ): Promise<Channel> {
    return "path" in to ? this.openUnix(to.path) : this.openTcp(from, to);
  }

  /** Opens a direct-tcpip channel (RFC 4254 section 7.2). @throws TundError CHANNEL_*, CONNECTION_LOST */
  openTcp(from: Originator, to: { host: string; port: number }): Promise<Channel> {
    return this.#open("direct-tcpip", (done) => this.#client.forwarding.openTcp(from, to, done));
  }

  /** Opens a direct-streamlocal@openssh.com channel (OpenSSH PROTOCOL section 2.4). @throws TundError CHANNEL_*, CONNECTION_LOST */
  openUnix(path: string): Promise<Channel> {
    const { forwarding } = this.#client;
    return this.#open("direct-streamlocal@openssh.com", (done) => forwarding.openUnix(path, done));
  }

  /** Asks the server to listen (tcpip-forward, streamlocal-forward@openssh.com). @throws TundError FORWARD_REFUSED, CONNECTION_LOST */
  listen(bind: RemoteBind, onOpen: (open: RemoteOpen) => void): Promise<RemoteListening> {
    return this.#listeners.listen(bind, this.#idle.watching(bind, onOpen));
  }

  #startRekeying(): Rekeying {
    const parts = {
      limit: this.#config.rekeyLimit,
      clock: this.#clock,
      log: this.#log,
      traffic: () => ({ in: this.#socket.bytesRead, out: this.#socket.bytesWritten }),
      rekey: () => this.#client.rekey(),
      onStuck: (seconds: number) =>
        this.#end(this.#lost(new Error(`no end to the exchange of new keys within ${seconds} s`))),
    };
    return new Rekeying(parts, this.#ciphers);
  }

  get #ciphers(): BothWays<string> {
    return { in: this.#negotiated?.sc.cipher ?? "", out: this.#negotiated?.cs.cipher ?? "" };
  }

  #open(type: ChannelType, start: StartOpening): Promise<Channel> {
    const asked = this.#clock.monotonic();
    return new Promise((resolve, reject) => {
      try {
        start((error, stream) => {
          if (error) return reject(channelFailure(error));
          this.#cameBack(this.#clock.monotonic() - asked);
          const fault = faultOfChannel(stream);
          if (fault === null) return resolve(this.#channel(stream, type));
          stream.close();
          stream.resume();
          return reject(new TundError("CHANNEL_CONNECT_FAILED", fault));
        });
      } catch (error) {
        reject(channelFailure(error)); // 'Not connected'
      }
    });
  }

  #channel(stream: ChannelStream, type?: ChannelType): Channel {
    this.#windows.add(stream);
    endOnce(stream);
    return { stream, link: this.#link, watch: type && this.#idle.watchOf(type) };
  }

  #ping(onReply: (ms: number | undefined) => void): void {
    this.#client.ping((ms) => {
      if (ms !== undefined) this.#cameBack((this.#roundTripMs = Math.round(ms * 1000) / 1000));
      onReply(ms === undefined ? undefined : (this.#roundTripMs ?? undefined));
    });
  }

  // An open takes a round trip and more. Pings alone are few, and the first come while the server is busy with the login: a
  // near path would look far, and each channel begin with a WINDOW_ADJUST that it does not need.
  #cameBack(ms: number): void {
    this.#shortestMs = Math.min(ms, this.#shortestMs ?? Infinity);
  }

  #end(failure: TundError): void {
    this.#failure ??= failure;
    this.#socket.destroy();
  }

  #lost(error: unknown): TundError {
    return connectionFailure(error, { where: whereOf(this.#config), phase: "established" });
  }
}
