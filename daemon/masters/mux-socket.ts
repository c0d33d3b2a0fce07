// One mux socket: placed at its path, closed with its master, and who is connected meanwhile.
import { createServer, type Server, type Socket } from "node:net";
import { messageOf, TundError } from "../../shared/errors.ts";
import {
  listenAt,
  obstacleText,
  PathTakenError,
  PathTooLongError,
  type PlacedSocket,
} from "../unix-socket.ts";

/** A client of a mux socket, as its owner sees it. */
export interface MuxClient {
  /** The master is gone: what is under way is answered, and that is all. */
  end(): void;
}

export class MuxSocket {
  readonly path: string;
  /** the hosts that it is for: names of one master */
  readonly hosts = new Set<string>();
  /** settles when it is there, or with what is in its way */
  readonly placing: Promise<TundError | undefined>;
  readonly #server: Server;
  readonly #clients = new Set<MuxClient>();
  #placed: PlacedSocket | undefined;
  #isClosed = false;

  /** @param serve serves a connection to it, for one of its hosts */
  constructor(path: string, serve: (socket: Socket, host: string) => MuxClient) {
    this.path = path;
    this.#server = createServer((client) => this.#accept(client, serve));
    this.#server.on("error", () => undefined); // of listening: it is in `placing` too
    this.placing = this.#place();
  }

  get isPlaced(): boolean {
    return this.#placed !== undefined;
  }

  /** It is gone when this returns; clients are answered what is under way. */
  close(): void {
    this.#isClosed = true;
    this.#placed?.release();
    this.#placed = undefined;
    if (this.#server.listening) this.#server.close();
    for (const client of this.#clients) client.end();
  }

  async #place(): Promise<TundError | undefined> {
    try {
      this.#placed = await listenAt(this.#server, { path: this.path, mode: 0o600, replaceAny: false });
      if (this.#isClosed) this.close();
      return undefined;
    } catch (error) {
      return failureOf(error, this.path);
    }
  }

  #accept(client: Socket, serve: (socket: Socket, host: string) => MuxClient): void {
    const [host] = this.hosts;
    if (host === undefined) return void client.destroy();
    const served = serve(client, host);
    this.#clients.add(served);
    client.on("close", () => this.#clients.delete(served));
    return undefined;
  }
}

function failureOf(error: unknown, path: string): TundError {
  const say = (why: string, code: "BIND_IN_USE" | "BIND_FAILED" = "BIND_FAILED") =>
    new TundError(code, `no mux socket: ${why}`, { cause: error });
  if (error instanceof PathTooLongError)
    return say(`${error.message}; -S or TUND_CONTROL_PATH makes it shorter`);
  if (!(error instanceof PathTakenError)) return say(`cannot listen on ${path}: ${messageOf(error)}`);
  if (error.obstacle === "answered") return say(`another master answers on ${path}`, "BIND_IN_USE");
  return say(`${path} ${obstacleText(error)}`, "BIND_IN_USE");
}
