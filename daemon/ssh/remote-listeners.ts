// What the server listens on for us (RFC 4254 section 7, OpenSSH PROTOCOL section 2.4): asking, cancelling, and whose each incoming channel is.
import { messageOf, TundError } from "../../shared/errors.ts";
import type { Channel, Originator } from "./channel.ts";
import type { ChannelStream } from "./ssh2/channels.ts";
import type { SshClient } from "./ssh2/client.ts";
import { NotAnswered } from "./ssh2/global-requests.ts";
import type { Forwarded } from "./ssh2/forwarding.ts";

/** Where the server is asked to listen; `*` is every address. */
export type RemoteBind = { address: string; port: number } | { path: string };

/** A connection that the server has accepted, to be accepted or rejected here as well. */
export interface RemoteOpen {
  originator: Originator;
  accept(): Channel;
  reject(): void;
}

export interface RemoteListening {
  /** the port that listens; null for a Unix socket */
  port: number | null;
  /** Settles when the server has stopped, or the link is gone. @throws TundError FORWARD_REFUSED: it goes on listening */
  cancel(): Promise<void>;
}

// Of one server. As many connections at once as a busy service has, and a fraction of what OpenSSH allows (16,384).
const MOST_CHANNELS = 4096;

const MOST_PORT = 65_535;

type Told = (error: unknown) => void;
type OnOpen = (open: RemoteOpen) => void;

/** One for each connection. ssh2 itself rejects what was never asked for; here the rest finds its forward, or is rejected. */
export class RemoteListeners {
  readonly #client: SshClient;
  readonly #channelOf: (stream: ChannelStream) => Channel;
  readonly #where: string;
  readonly #owners = new Map<string, OnOpen>();
  /** what the server refused to cancel: it is still asked for as far as the server knows, and there for whoever wants it again */
  readonly #abandoned = new Set<string>();
  /** listeners whose port the server chose */
  readonly #ofAnyPort = new Set<string>();
  /** channels that the server has opened, and that have not ended */
  #open = 0;

  constructor(client: SshClient, channelOf: (stream: ChannelStream) => Channel, where: string) {
    this.#client = client;
    this.#channelOf = channelOf;
    this.#where = where;
    client.forwarding.onForwarded((forwarded) => this.#opened(forwarded));
  }

  /** Asks the server to listen. @throws TundError FORWARD_REFUSED, CONNECTION_LOST */
  listen(bind: RemoteBind, onOpen: OnOpen): Promise<RemoteListening> {
    return "path" in bind ? this.#listenUnix(bind.path, onOpen) : this.#listenTcp(bind, onOpen);
  }

  async #listenTcp(
    { address, port: asked }: { address: string; port: number },
    onOpen: OnOpen,
  ): Promise<RemoteListening> {
    // The string goes back and forth as it is: the server names the listener by it (RFC 4254 section 7.2).
    const wire = address === "*" ? "" : address;
    const what = `${address}:${asked}`;
    const listening = (port: number): RemoteListening => {
      const key = `${wire}:${port}`;
      this.#owners.set(key, onOpen);
      if (asked === 0) this.#ofAnyPort.add(key);
      const cancel = (done: Told) => this.#client.forwarding.cancelTcp(wire, port, done);
      return { port, cancel: () => this.#cancel(key, cancel) };
    };
    if (this.#abandoned.delete(`${wire}:${asked}`)) return listening(asked);
    return this.#ask(what, (done) =>
      this.#client.forwarding.listenTcp(wire, asked, (error, port = 0) => {
        const isUnsaid = !error && (port < 1 || port > MOST_PORT);
        done(isUnsaid ? this.#portUnsaid(what) : error, () => listening(port));
      }),
    );
  }

  async #listenUnix(path: string, onOpen: OnOpen): Promise<RemoteListening> {
    const listening = (): RemoteListening => {
      this.#owners.set(path, onOpen);
      const cancel = (done: Told) => this.#client.forwarding.cancelUnix(path, done);
      return { port: null, cancel: () => this.#cancel(path, cancel) };
    };
    if (this.#abandoned.delete(path)) return listening();
    return this.#ask(path, (done) =>
      this.#client.forwarding.listenUnix(path, (error) => done(error, listening)),
    );
  }

  // `listening` is made within the server's answer: the first connection may come right behind it.
  #ask(
    what: string,
    start: (done: (error: unknown, listening: () => RemoteListening) => void) => void,
  ): Promise<RemoteListening> {
    return new Promise((resolve, reject) => {
      start((error, listening) => {
        if (error) reject(this.#refused(what, error));
        else resolve(listening());
      });
    });
  }

  #refused(what: string, error: unknown): TundError {
    if (error instanceof TundError) return error;
    if (error instanceof NotAnswered)
      return new TundError("FORWARD_REFUSED", `${this.#where} cannot listen on ${what}: ${error.message}`, {
        cause: error,
      });
    if (!messageOf(error).startsWith("Unable to bind")) return this.#lost(error);
    return new TundError(
      "FORWARD_REFUSED",
      `${this.#where} refused to listen on ${what}: it may be in use there, or AllowTcpForwarding, ` +
        `AllowStreamLocalForwarding, PermitListen or authorized_keys forbid it`,
      { cause: error },
    );
  }

  // It cannot be cancelled without its port either, and what comes of it is rejected.
  #portUnsaid(what: string): TundError {
    return new TundError(
      "FORWARD_REFUSED",
      `${this.#where} took the request to listen on ${what}, and did not say on which port (RFC 4254 section 7.1): ask for a port of your choice`,
    );
  }

  #lost(cause: unknown): TundError {
    return new TundError("CONNECTION_LOST", `the connection to ${this.#where} was lost`, { cause });
  }

  // A connection that arrives from now on is rejected, whenever the server gets to know of it.
  #cancel(key: string, start: (done: Told) => void): Promise<void> {
    this.#owners.delete(key);
    this.#ofAnyPort.delete(key);
    return new Promise((resolve, reject) => {
      start((error) => {
        // Otherwise the link is gone, and the listener with it.
        if (!(error instanceof NotAnswered || messageOf(error).startsWith("Unable to unbind")))
          return resolve();
        this.#abandoned.add(key);
        return reject(
          new TundError(
            "FORWARD_REFUSED",
            `${this.#where} refused to stop listening on ${key.replace(/^:/, "*:")}: it does so until the connection ends, and connections there are closed`,
            { cause: error },
          ),
        );
      });
    });
  }

  // OpenSSH 5 names a listener of -R 0 by what it was asked for (SSH_BUG_DYNAMIC_RPORT), and ssh2 lets that through for it alone.
  #ownerOfPort0(listener: string): OnOpen | undefined {
    if (!listener.endsWith(":0")) return undefined;
    const [key, ...others] = [...this.#ofAnyPort].filter((one) => one.startsWith(listener.slice(0, -1)));
    return key === undefined || others.length > 0 ? undefined : this.#owners.get(key);
  }

  #opened({ listener, originator, accept, reject }: Forwarded): void {
    const onOpen = this.#owners.get(listener) ?? this.#ownerOfPort0(listener);
    // Each takes a descriptor here, of which all hosts have to have some.
    if (onOpen === undefined || this.#open >= MOST_CHANNELS) return reject();
    this.#open++;
    const ended = () => void this.#open--;
    onOpen({
      originator,
      accept: () => {
        const channel = this.#channelOf(accept());
        channel.stream.once("close", ended);
        return channel;
      },
      reject: () => {
        ended();
        reject();
      },
    });
  }
}
