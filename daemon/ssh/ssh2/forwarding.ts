// Channels that are opened, and listeners that a server is asked for (RFC 4254 section 7, OpenSSH PROTOCOL section 2.4).
import type { Client } from "ssh2";
import type { ChannelStream } from "./channels.ts";

/** A connection that the server has accepted for us. */
export interface Forwarded {
  /** `address:port` or the path that the server was asked to listen on, as it was asked */
  listener: string;
  originator: { address: string; port: number };
  accept: () => ChannelStream;
  reject: () => void;
}

type Guard = <Args extends unknown[]>(listener: (...args: Args) => void) => (...args: Args) => void;
type Opened = (error: Error | undefined, stream: ChannelStream) => void;

/** Every method but the first throws when there is no connection any more. */
export class Forwarding {
  readonly #client: Client;
  readonly #guarded: Guard;

  /** @param guarded makes callbacks of ours that may throw */
  constructor(client: Client, guarded: Guard) {
    this.#client = client;
    this.#guarded = guarded;
  }

  /** Hears of connections that the server has accepted. ssh2 rejects those to what was never asked for. */
  onForwarded(listener: (forwarded: Forwarded) => void): void {
    const heard = this.#guarded(listener);
    this.#client.on("tcp connection", ({ destIP, destPort, srcIP: address, srcPort: port }, accept, reject) =>
      heard({ listener: `${destIP}:${destPort}`, originator: { address, port }, accept, reject }),
    );
    this.#client.on("unix connection", ({ socketPath }, accept, reject) =>
      heard({ listener: socketPath, originator: { address: socketPath, port: 0 }, accept, reject }),
    );
  }

  /** Opens a direct-tcpip channel. */
  openTcp(from: { address: string; port: number }, to: { host: string; port: number }, opened: Opened): void {
    this.#client.forwardOut(from.address, from.port, to.host, to.port, this.#guarded(opened));
  }

  /** Opens a direct-streamlocal@openssh.com channel. */
  openUnix(path: string, opened: Opened): void {
    this.#client.openssh_forwardOutStreamLocal(path, this.#guarded(opened));
  }

  /** Asks for a listener (tcpip-forward). */
  listenTcp(address: string, port: number, done: (error: Error | undefined, port: number) => void): void {
    this.#client.forwardIn(address, port, this.#guarded(done));
  }

  /** Cancels one. */
  cancelTcp(address: string, port: number, done: () => void): void {
    this.#client.unforwardIn(address, port, this.#guarded(done));
  }

  /** Asks for a listener (streamlocal-forward@openssh.com). */
  listenUnix(path: string, done: (error: Error | undefined | null) => void): void {
    this.#client.openssh_forwardInStreamLocal(path, this.#guarded(done));
  }

  /** Cancels one. */
  cancelUnix(path: string, done: () => void): void {
    this.#client.openssh_unforwardInStreamLocal(path, this.#guarded(done));
  }
}
