// Binding where a forward accepts, by ssh's rules (ssh(1) -L, GatewayPorts), and saying why when it cannot be.
import { lookup } from "node:dns/promises";
import { createServer, type Server, type Socket } from "node:net";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
import { formatAddress } from "../../shared/forward-spec.ts";
import { portHolder } from "./holder.ts";

export interface TcpBind {
  address: string;
  port: number;
}

export interface Listening {
  /** `127.0.0.1:5432`, ... */
  boundTo: string[];
  /** what did not bind and need not stop the others: a machine without IPv6 has no ::1 */
  warnings: string[];
  /** Stops accepting, at once. */
  close(): void;
}

const families: Record<string, string[]> = {
  localhost: ["127.0.0.1", "::1"],
  "*": ["0.0.0.0", "::"],
};

/**
 * Listens on every address that a bind address stands for: `localhost` is both loopbacks, `*` every address of both
 * families (IPv6 sockets take IPv6 alone), a name all its addresses.
 *
 * ssh calls it a success when one family binds. Here a port that somebody else holds on either is a failure: whoever
 * connects to `localhost` would reach one or the other. Only an address that the machine does not have is passed over,
 * and told.
 * @throws TundError BIND_IN_USE that names the holder, BIND_FAILED
 */
export async function listenTcp(bind: TcpBind, onConnection: (socket: Socket) => void): Promise<Listening> {
  const addresses = families[bind.address] ?? (await addressesOf(bind.address));
  const bound = new Map<string, Server>();
  const warnings: string[] = [];
  const close = () => bound.forEach((server) => server.close());
  let missing: unknown;
  for (const address of addresses) {
    const where = formatAddress(address, bind.port);
    try {
      bound.set(where, await listenOn(address, bind.port, onConnection));
    } catch (error) {
      if (!isMissingFamily(error)) {
        close();
        throw await explain(error, where, bind.port);
      }
      missing = error;
      warnings.push(`not bound to ${where}: ${reasonOf(error)}`);
    }
  }
  if (bound.size === 0) throw await explain(missing, formatAddress(bind.address, bind.port), bind.port);
  return { boundTo: [...bound.keys()], warnings, close };
}

async function addressesOf(address: string): Promise<string[]> {
  try {
    const found = await lookup(address, { all: true, verbatim: true });
    return [...new Set(found.map((entry) => entry.address))];
  } catch (error) {
    throw new TundError("BIND_FAILED", `cannot resolve the bind address ${address}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function listenOn(host: string, port: number, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Half-open, or an answer after the client's FIN would be lost; paused, so that nothing is read before there is a channel.
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, onConnection);
    // Stays: accept() can fail later (EMFILE), and the listener must outlive that.
    server.on("error", reject);
    server.listen({ host, port, ipv6Only: true }, () => resolve(server));
  });
}

const isMissingFamily = (error: unknown): boolean =>
  ["EADDRNOTAVAIL", "EAFNOSUPPORT", "EPROTONOSUPPORT"].includes(errnoOf(error) ?? "");

const reasons: Record<string, string> = {
  EADDRINUSE: "address already in use",
  EACCES: "permission denied (ports below 1024 need CAP_NET_BIND_SERVICE)",
  EADDRNOTAVAIL: "the machine does not have this address",
  EAFNOSUPPORT: "the machine does not have this address family",
};

const reasonOf = (error: unknown): string => reasons[errnoOf(error) ?? ""] ?? messageOf(error);

async function explain(error: unknown, where: string, port: number): Promise<TundError> {
  if (errnoOf(error) !== "EADDRINUSE")
    return new TundError("BIND_FAILED", `cannot listen on ${where}: ${reasonOf(error)}`, { cause: error });
  const holder = await portHolder(port);
  const by = holder === null ? "" : ` by ${holder}`;
  return new TundError("BIND_IN_USE", `cannot listen on ${where}: address already in use${by}`, {
    cause: error,
    details: { holder },
  });
}
