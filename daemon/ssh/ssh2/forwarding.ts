// Channels that are opened, and listeners that a server is asked for (RFC 4254 section 7, OpenSSH PROTOCOL section 2.4).
import type { Client } from "ssh2";
import type { ChannelStream } from "./channels.ts";
import type { GlobalRequests } from "./global-requests.ts";

/** A connection that the server has accepted for us. */
export interface Forwarded {
  /** `address:port` or the path that the server was asked to listen on, as it was asked */
  listener: string;
  originator: { address: string; port: number };
  accept: () => ChannelStream;
  reject: () => void;
}

type Guard = <Args extends unknown[]>(listener: (...args: Args) => void) => (...args: Args) => void;
type Done = (error: unknown, port?: number) => void;
type Opened = (error: Error | undefined, stream: ChannelStream) => void;

/** What opens a channel throws when there is no connection any more; the others tell an error. */
export class Forwarding {
  readonly #client: Client;
  readonly #requests: GlobalRequests;
  readonly #guarded: Guard;

  /** @param parts.guarded makes callbacks of ours that may throw */
  constructor(client: Client, parts: { requests: GlobalRequests; guarded: Guard }) {
    this.#client = client;
    this.#requests = parts.requests;
    this.#guarded = parts.guarded;
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

  /** Asks for a listener (tcpip-forward). Tells its port, which is 0 when the server chose one and did not say which. */
  listenTcp(address: string, port: number, done: Done): void {
    this.#inTurn("tcpip-forward", done, (answered) => this.#client.forwardIn(address, port, answered));
  }

  /** Cancels one. */
  cancelTcp(address: string, port: number, done: Done): void {
    this.#inTurn("cancel-tcpip-forward", done, (answered) =>
      this.#client.unforwardIn(address, port, answered),
    );
  }

  /** Asks for a listener (streamlocal-forward@openssh.com). */
  listenUnix(path: string, done: Done): void {
    this.#inTurn("streamlocal-forward@openssh.com", done, (answered) =>
      this.#client.openssh_forwardInStreamLocal(path, answered),
    );
  }

  /** Cancels one. */
  cancelUnix(path: string, done: Done): void {
    this.#inTurn("cancel-streamlocal-forward@openssh.com", done, (answered) =>
      this.#client.openssh_unforwardInStreamLocal(path, answered),
    );
  }

  #inTurn(name: string, done: Done, start: (answered: Done) => void): void {
    const answered = this.#guarded(done);
    this.#requests.inTurn(name, () => start(answered), answered);
  }
}
