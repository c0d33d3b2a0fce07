// The control API as typed calls on the control socket.
import type { IncomingMessage } from "node:http";
import type { Input, Output } from "../shared/contract.ts";
import { isErrorCode, TundError } from "../shared/errors.ts";
import { routes, type Verb, VERSION_HEADER } from "../shared/routes.ts";
import { blockingExchange } from "./blocking-exchange.ts";
import type { ControlSocket } from "./control-socket.ts";
import type { Question, Reply } from "./http-answer.ts";

interface Parts {
  params?: Record<string, string>;
  querystring?: Record<string, string | undefined>;
  body?: unknown;
}

/** How it is asked. */
interface Ways {
  /** ends what is under way, which then fails as if nobody had answered */
  signal?: AbortSignal;
  /** for who does nothing else meanwhile: calls block, where the compiled file is there */
  blocks?: boolean;
}

/** Speaks to one daemon. Each call is a connection of its own, so any number may be under way and none lingers. */
export class Client {
  readonly #control: ControlSocket;
  readonly #ways: Ways;
  #daemonVersion: string | undefined;

  constructor(control: ControlSocket, ways: Ways = {}) {
    this.#control = control;
    this.#ways = ways;
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
    const { method, url, fields } = routes[verb];
    const path = pathOf(url, params ?? {}, querystring ?? {});
    const reply = await this.#ask({ method, path, body }).catch(async (error: unknown) => {
      const { unreachable } = await import("./unreachable.ts"); // seldom needed
      throw unreachable(this.#control.path, error);
    });
    this.#daemonVersion = reply.version;
    if (reply.status !== 200) throw refusalOf(reply);
    const answer = parse(reply);
    if (!hasAll(answer, fields)) throw new TundError("INTERNAL", senseless(reply));
    return answer as Output<V>;
  }

  async #ask(question: Question): Promise<Reply> {
    const { signal, blocks = false } = this.#ways;
    const { native } = this.#control;
    if (blocks && native !== null) return blockingExchange(native, this.#control, question);
    // Loaded here, since who blocks has no need of node:net.
    const { exchange } = await import("./exchange.ts");
    return exchange(this.#control, question, signal);
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

const hasAll = (answer: unknown, fields: readonly string[]): boolean =>
  fields.length === 0 ||
  (typeof answer === "object" && answer !== null && fields.every((field) => field in answer));

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
