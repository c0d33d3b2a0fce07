// The control API as typed calls on the control socket.
import type { IncomingMessage } from "node:http";
import type { Input, Output } from "../shared/contract.ts";
import { errnoOf, isErrorCode, messageOf, TundError } from "../shared/errors.ts";
import { routes, type Verb, VERSION_HEADER } from "../shared/routes.ts";
import { exchange, type Reply } from "./exchange.ts";
import { howToStart } from "./how-to-start.ts";

interface Parts {
  params?: Record<string, string>;
  querystring?: Record<string, string | undefined>;
  body?: unknown;
}

/** Speaks to one daemon. Each call is a connection of its own, so any number may be under way and none lingers. */
export class Client {
  readonly #socketPath: string;
  readonly #signal: AbortSignal | undefined;
  #daemonVersion: string | undefined;

  /** @param signal ends what is under way, which then fails as if nobody had answered */
  constructor(socketPath: string, signal?: AbortSignal) {
    this.#socketPath = socketPath;
    this.#signal = signal;
  }

  /** The version that the daemon's latest answer bore; undefined before there is one. */
  get daemonVersion(): string | undefined {
    return this.#daemonVersion;
  }

  /**
   * Calls one verb of the API and gives its answer.
   * @throws TundError as the daemon said it (code, message, details); DAEMON_UNREACHABLE when none answers;
   *   INTERNAL when the answer makes no sense
   */
  async call<V extends Verb>(verb: V, input: Input<V>): Promise<Output<V>> {
    const { params, querystring, body } = input as Parts;
    const { method, url } = routes[verb];
    const path = pathOf(url, params ?? {}, querystring ?? {});
    const reply = await exchange(this.#socketPath, { method, path, body, signal: this.#signal }).catch(
      (error: unknown) => {
        throw unreachable(this.#socketPath, error);
      },
    );
    this.#daemonVersion = reply.version;
    if (reply.status !== 200) throw refusalOf(reply);
    return parse(reply) as Output<V>;
  }
}

function pathOf(url: string, params: Record<string, string>, query: Parts["querystring"] & object): string {
  const path = url.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ""));
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
  const search = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value ?? "")}`).join("&");
  return search === "" ? path : `${path}?${search}`;
}

/** Reads an answer of node:http to its end. */
export function receive(incoming: IncomingMessage): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let text = "";
    incoming.setEncoding("utf8");
    incoming.on("data", (chunk: string) => (text += chunk));
    incoming.on("error", reject);
    incoming.on("end", () => {
      const version = incoming.headers[VERSION_HEADER];
      resolve({
        status: incoming.statusCode ?? 0,
        version: typeof version === "string" ? version : undefined,
        text,
      });
    });
  });
}

function parse(reply: Reply): unknown {
  try {
    return JSON.parse(reply.text);
  } catch (error) {
    throw new TundError("INTERNAL", senseless(reply), { cause: error });
  }
}

const senseless = (reply: Reply): string =>
  `the daemon's answer (HTTP status ${reply.status}) makes no sense: is it another program that listens there?`;

/** What the daemon said when it did not do what it was asked. */
export function refusalOf(reply: Reply): TundError {
  const { code, message, details } = (parse(reply) ?? {}) as Partial<Record<string, unknown>>;
  if (typeof code !== "string" || typeof message !== "string")
    return new TundError("INTERNAL", senseless(reply));
  const data = typeof details === "object" && details !== null ? { ...details } : undefined;
  // A newer daemon may have codes that are not known here: its message still says what happened.
  if (!isErrorCode(code)) return new TundError("INTERNAL", message, { details: { ...data, code } });
  return new TundError(code, message, data === undefined ? {} : { details: data });
}

/** Says why the daemon did not answer, and what to do. */
export function unreachable(socketPath: string, error: unknown): TundError {
  const elsewhere = "or say where it listens with --socket PATH or TUND_SOCKET";
  const say = (message: string) => new TundError("DAEMON_UNREACHABLE", message, { cause: error });
  switch (errnoOf(error)) {
    case "ENOENT":
    case "ENOTDIR":
    case "ECONNREFUSED":
      return say(`no daemon answers on ${socketPath}: ${howToStart()}, ${elsewhere}`);
    case "EACCES":
    case "EPERM":
      return say(
        `no permission to speak to the daemon on ${socketPath}: run tunctl as its user, ${elsewhere}`,
      );
    case "ECONNRESET":
    case "EPIPE":
      return say(`the daemon on ${socketPath} went away before it answered: see its log for why`);
    case undefined:
    default:
      return say(`cannot speak to the daemon on ${socketPath}: ${messageOf(error)}`);
  }
}
