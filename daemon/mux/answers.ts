// What each request of a mux client is answered with: the registry's verbs, in the words of OpenSSH's master (mux.c).
import { failureOf, type TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Registry } from "../masters/registry.ts";
import type { Transaction } from "../masters/transaction.ts";
import { forwardToClose, forwardToOpen } from "./forward-request.ts";
import { channelsText, connectionText } from "./info.ts";
import * as protocol from "./protocol.ts";
import { type Request, STREAMLOCAL, type WireForward } from "./protocol.ts";

// No client has a deadline of its own, and a frozen server none of its own either.
const FORWARD_DEADLINE_S = 15;

export interface Asked {
  registry: Registry;
  host: string;
  isPersistent: boolean;
  log: Log;
  /** ends with the answer */
  transaction: Transaction;
}

/** Answers one. Gives null where OpenSSH's clients understand nothing but the end of the connection. Never rejects. */
export async function answerTo(request: Request, asked: Asked): Promise<Buffer | null> {
  const { id } = request;
  switch (request.type) {
    case "alive-check":
      return checked(id, asked);
    case "open-forward":
      return opened(id, request.forward, asked);
    case "close-forward":
      return closed(id, request.forward, asked);
    case "terminate":
      return done(id, asked, (registry) => registry.exit(asked.host));
    case "stop-listening":
      return done(id, asked, (registry) => registry.stop(asked.host));
    case "info":
      return informed(id, request.what, asked);
    case "new-session":
      return protocol.failure(id, "tund has no sessions: ssh connects by itself");
    case "new-stdio-forward":
      return protocol.failure(id, `tund takes -W by its own command: tunctl -W DEST ${asked.host}`);
    case "proxy":
      return protocol.failure(id, "tund has no proxy mode");
    case "unknown":
      return protocol.failure(id, "unsupported request");
  }
}

// A client can be told of trouble here by no message: it takes the reason for a request id. It says that the check failed.
async function checked(id: number, { registry, host, log }: Asked): Promise<Buffer | null> {
  try {
    return protocol.alive(id, (await registry.check(host)).pid);
  } catch (error) {
    failureOf(error, log);
    return null;
  }
}

async function opened(id: number, wire: WireForward, asked: Asked): Promise<Buffer> {
  const { registry, host, isPersistent, transaction, log } = asked;
  try {
    const forwards = [forwardToOpen(wire)];
    const wishes = { ephemeral: !isPersistent, timeoutSeconds: FORWARD_DEADLINE_S };
    const [forward] = await registry.openForwards({ host, forwards, ...wishes }, transaction);
    const port = forward?.allocatedPort ?? null;
    return port === null ? protocol.ok(id) : protocol.remotePort(id, port);
  } catch (error) {
    const failure = failureOf(error, log);
    const isNonsense = failure.code === "INVALID_REQUEST";
    return protocol.failure(
      id,
      because(isNonsense ? "Invalid forwarding request" : refusalOf(wire), failure),
    );
  }
}

function refusalOf({ kind, listen, listenPort }: WireForward): string {
  if (kind !== 2) return "Port forwarding failed";
  const where = listenPort === STREAMLOCAL ? `path ${listen}` : `port ${listenPort}`;
  return `remote port forwarding failed for listen ${where}`;
}

async function closed(id: number, wire: WireForward, { registry, host, log }: Asked): Promise<Buffer> {
  try {
    await registry.cancel({ host, forwards: [forwardToClose(wire)] });
    return protocol.ok(id);
  } catch (error) {
    const failure = failureOf(error, log);
    const isUnknown = failure.code === "NOT_FOUND" || failure.code === "INVALID_REQUEST";
    return protocol.failure(id, isUnknown ? "port not forwarded" : failure.message);
  }
}

async function done(
  id: number,
  { registry, log }: Asked,
  act: (registry: Registry) => Promise<unknown>,
): Promise<Buffer> {
  try {
    await act(registry);
    return protocol.ok(id);
  } catch (error) {
    return protocol.failure(id, failureOf(error, log).message);
  }
}

async function informed(id: number, what: string, { registry, host, log }: Asked): Promise<Buffer> {
  try {
    if (what === "connection") return protocol.info(id, true, connectionText(await registry.describe(host)));
    if (what === "channels") return protocol.info(id, true, channelsText(await registry.traffic(host)));
    return protocol.info(id, false, "info request type not supported");
  } catch (error) {
    return protocol.info(id, false, `${failureOf(error, log).message}\r\n`);
  }
}

// ssh's own line first, as scripts know it; ours is a line of its own, as with `tunctl -O`.
const because = (text: string, { message }: TundError): string => `${text}\r\ntund: ${message}`;
