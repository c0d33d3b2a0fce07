// What the server listens on for us (RFC 4254 section 7, OpenSSH PROTOCOL section 2.4): asking, cancelling, and whose each incoming channel is.
import { TundError } from "../../shared/errors.ts";
import type { Channel, Originator } from "./channel.ts";
import type { ChannelStream } from "./ssh2/channels.ts";
import type { SshClient } from "./ssh2/client.ts";
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
  /** Settles when the server has stopped, or the link is gone. */
  cancel(): Promise<void>;
}

// Of one server. As many connections at once as a busy service has, and a fraction of what OpenSSH allows (16,384).
const MOST_CHANNELS = 4096;

type OnOpen = (open: RemoteOpen) => void;

/** One for each connection. ssh2 itself rejects what was never asked for; here the rest finds its forward, or is rejected. */
export class RemoteListeners {
  readonly #client: SshClient;
  readonly #channelOf: (stream: ChannelStream) => Channel;
  readonly #where: string;
  readonly #owners = new Map<string, OnOpen>();
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

  #listenTcp(
    { address, port: asked }: { address: string; port: number },
    onOpen: OnOpen,
  ): Promise<RemoteListening> {
    // The string goes back and forth as it is: the server names the listener by it (RFC 4254 section 7.2).
    const wire = address === "*" ? "" : address;
    return this.#ask(`${address}:${asked}`, (done) =>
      this.#client.forwarding.listenTcp(wire, asked, (error, port) =>
        done(error, () => {
          const key = `${wire}:${port}`;
          this.#owners.set(key, onOpen);
          return {
            port,
            cancel: () => this.#cancel(key, (then) => this.#client.forwarding.cancelTcp(wire, port, then)),
          };
        }),
      ),
    );
  }

  #listenUnix(path: string, onOpen: OnOpen): Promise<RemoteListening> {
    return this.#ask(path, (done) =>
      this.#client.forwarding.listenUnix(path, (error) =>
        done(error, () => {
          this.#owners.set(path, onOpen);
          const cancel = () => this.#cancel(path, (then) => this.#client.forwarding.cancelUnix(path, then));
          return { port: null, cancel };
        }),
      ),
    );
  }

  // `listening` is made within the server's answer: the first connection may come right behind it.
  #ask(
    what: string,
    start: (done: (error: Error | null | undefined, listening: () => RemoteListening) => void) => void,
  ): Promise<RemoteListening> {
    return new Promise((resolve, reject) => {
      try {
        start((error, listening) => {
          if (error) reject(this.#refused(what, error));
          else resolve(listening());
        });
      } catch (error) {
        reject(this.#lost(error)); // 'Not connected'
      }
    });
  }

  #refused(what: string, error: Error): TundError {
    if (!error.message.startsWith("Unable to bind")) return this.#lost(error);
    return new TundError(
      "FORWARD_REFUSED",
      `${this.#where} refused to listen on ${what}: it may be in use there, or AllowTcpForwarding, ` +
        `AllowStreamLocalForwarding, PermitListen or authorized_keys forbid it`,
      { cause: error },
    );
  }

  #lost(cause: unknown): TundError {
    return new TundError("CONNECTION_LOST", `the connection to ${this.#where} was lost`, { cause });
  }

  // A connection that arrives from now on is rejected, whenever the server gets to know of it.
  #cancel(key: string, start: (done: () => void) => void): Promise<void> {
    this.#owners.delete(key);
    return new Promise((resolve) => {
      try {
        start(() => resolve());
      } catch {
        resolve(); // the link is gone, and the listener with it
      }
    });
  }

  #opened({ listener, originator, accept, reject }: Forwarded): void {
    const onOpen = this.#owners.get(listener);
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
