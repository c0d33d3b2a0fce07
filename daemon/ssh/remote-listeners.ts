// What the server listens on for us (RFC 4254 section 7, OpenSSH PROTOCOL section 2.4): asking, cancelling, and whose each incoming channel is.
import type { Client, ClientChannel } from "ssh2";
import { TundError } from "../../shared/errors.ts";
import type { Channel, Originator } from "./channel.ts";

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

type OnOpen = (open: RemoteOpen) => void;

/** One for each connection. ssh2 itself rejects what was never asked for; here the rest finds its forward, or is rejected. */
export class RemoteListeners {
  readonly #client: Client;
  readonly #channelOf: (stream: ClientChannel) => Channel;
  readonly #where: string;
  readonly #owners = new Map<string, OnOpen>();

  constructor(client: Client, channelOf: (stream: ClientChannel) => Channel, where: string) {
    this.#client = client;
    this.#channelOf = channelOf;
    this.#where = where;
    client.on("tcp connection", ({ destIP, destPort, srcIP, srcPort }, accept, reject) =>
      this.#opened(`${destIP}:${destPort}`, { address: srcIP, port: srcPort }, { accept, reject }),
    );
    client.on("unix connection", ({ socketPath }, accept, reject) =>
      // The types know no client's channel here; it is one.
      this.#opened(
        socketPath,
        { address: socketPath, port: 0 },
        { accept: accept as () => ClientChannel, reject },
      ),
    );
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
      this.#client.forwardIn(wire, asked, (error, port) =>
        done(error, () => {
          const key = `${wire}:${port}`;
          this.#owners.set(key, onOpen);
          return {
            port,
            cancel: () => this.#cancel(key, (then) => this.#client.unforwardIn(wire, port, then)),
          };
        }),
      ),
    );
  }

  #listenUnix(path: string, onOpen: OnOpen): Promise<RemoteListening> {
    return this.#ask(path, (done) =>
      this.#client.openssh_forwardInStreamLocal(path, (error) =>
        done(error, () => {
          this.#owners.set(path, onOpen);
          const cancel = () =>
            this.#cancel(path, (then) => this.#client.openssh_unforwardInStreamLocal(path, then));
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

  #opened(
    key: string,
    originator: Originator,
    { accept, reject }: { accept: () => ClientChannel; reject: () => void },
  ): void {
    const onOpen = this.#owners.get(key);
    if (onOpen === undefined) return reject();
    try {
      return onOpen({ originator, accept: () => this.#channelOf(accept()), reject });
    } catch {
      return reject(); // ssh2 would take an exception of ours for one of the connection's
    }
  }
}
