// Binding where a forward accepts on this machine, by ssh's rules (ssh(1) -L, GatewayPorts, StreamLocalBindMask), and
// saying why when it cannot be.
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
import { formatAddress } from "../../shared/forward-spec.ts";
import type { Files } from "../files.ts";
import type { Resolver } from "../resolver.ts";
import { adopt, listenAt, PathTakenError, PathTooLongError } from "../unix-socket.ts";
import { portHolder } from "./holder.ts";
import { type ListenerKeeper, noKeeper } from "./listener-keeper.ts";
import type { Listening } from "./point.ts";

export interface TcpBind {
  address: string;
  port: number;
}

/** How Unix sockets are made: StreamLocalBindMask and StreamLocalBindUnlink of ssh_config(5). */
export interface StreamLocalOptions {
  mask: number;
  unlink: boolean;
}

// Node asks for 511, and a client that finds the queue full tries again after a second. The system cuts it to its own limit.
const BACKLOG = 4096;

const RESOLVING_MS = 10_000;

const families: ReadonlyMap<string, string[]> = new Map([
  ["localhost", ["127.0.0.1", "::1"]],
  ["*", ["0.0.0.0", "::"]],
]);

/**
 * Listens on every address that a bind address stands for: `localhost` is both loopbacks, `*` every address of both
 * families (IPv6 sockets take IPv6 alone), a name all its addresses.
 *
 * ssh calls it a success when one family binds. Here a port that somebody else holds on either is a failure: whoever
 * connects to `localhost` would reach one or the other. Only an address that the machine does not have is passed over,
 * and told.
 * @throws TundError BIND_IN_USE that names the holder, BIND_FAILED
 */
export async function listenTcp(
  bind: TcpBind,
  onConnection: (socket: Socket) => void,
  { resolver, keeper = noKeeper }: { resolver: Resolver; keeper?: ListenerKeeper },
): Promise<Listening> {
  const addresses = families.get(bind.address) ?? (await addressesOf(bind.address, resolver));
  const bound = new Map<string, Server>();
  const warnings: string[] = [];
  const close = () =>
    bound.forEach((server, where) => {
      keeper.forget(where);
      server.close();
    });
  let missing: unknown;
  for (const address of addresses) {
    const where = formatAddress(address, bind.port);
    try {
      const server = await listenOn({ address, port: bind.port, fd: keeper.take(where) }, onConnection);
      bound.set(where, server);
      keeper.keep(where, server);
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
  return { boundTo: [...bound.keys()], warnings, allocatedPort: null, close };
}

/**
 * Listens on a Unix socket. A stale one of ours is replaced; any other one only under StreamLocalBindUnlink, and a file
 * that is no socket never (ssh would remove it).
 * @throws TundError BIND_IN_USE, BIND_FAILED
 */
export async function listenUnix(
  path: string,
  { mask, unlink, files, keeper = noKeeper }: StreamLocalOptions & { files: Files; keeper?: ListenerKeeper },
  onConnection: (socket: Socket) => void,
): Promise<Listening> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, quiet(onConnection));
  // Stays: accept() can fail later (EMFILE), and the listener must outlive that.
  server.on("error", () => undefined);
  try {
    // What binds it does so on the event loop: a directory that does not answer must not have everybody wait.
    await files.exists(dirname(path));
    const options = { path, mode: 0o777 & ~mask, replaceAny: unlink };
    const placed = (await adopt(server, path, keeper.take(path))) ?? (await listenAt(server, options));
    keeper.keep(path, server);
    const close = () => {
      if (keeper.forget(path)) placed.release();
      server.close();
    };
    return { boundTo: [path], warnings: [], allocatedPort: null, close };
  } catch (error) {
    throw explainPath(error, path);
  }
}

function explainPath(error: unknown, path: string): TundError {
  const cannot = `cannot listen on ${path}`;
  if (error instanceof PathTooLongError)
    return new TundError("BIND_FAILED", `cannot listen: ${error.message}`, { cause: error });
  if (!(error instanceof PathTakenError))
    return new TundError("BIND_FAILED", `${cannot}: ${reasonOf(error)}`, { cause: error });
  const why = {
    answered: "somebody listens on it",
    unsure: `somebody may listen on it: ${reasonOf(error.cause)}`,
    foreign: "it is another user's socket (StreamLocalBindUnlink=yes replaces it)",
    "not a socket": "there is a file that is no socket",
  }[error.obstacle];
  return new TundError("BIND_IN_USE", `${cannot}: ${why}`, { cause: error });
}

async function addressesOf(address: string, resolver: Resolver): Promise<string[]> {
  try {
    const found = await resolver.lookup(address, { deadlineMs: RESOLVING_MS, owner: {} });
    return [...new Set(found.map((entry) => entry.address))];
  } catch (error) {
    throw new TundError("BIND_FAILED", `cannot resolve the bind address ${address}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function listenOn(
  { address: host, port, fd }: TcpBind & { fd: number | undefined },
  onConnection: (socket: Socket) => void,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Half-open, or an answer after the client's FIN would be lost; paused, so that nothing is read before there is a channel.
    const server = createServer(
      { allowHalfOpen: true, pauseOnConnect: true, noDelay: true },
      quiet(onConnection),
    );
    // Stays: accept() can fail later (EMFILE), and the listener must outlive that.
    server.on("error", reject);
    // With a descriptor Node takes the backlog from beside the options alone.
    server.listen(fd === undefined ? { host, port, ipv6Only: true } : { fd }, BACKLOG, () => resolve(server));
  });
}

// A socket's error (ECONNRESET, EPIPE) is followed by its 'close', which says all; unheard, it would end the daemon.
const quiet =
  (onConnection: (socket: Socket) => void) =>
  (socket: Socket): void => {
    socket.on("error", () => undefined);
    onConnection(socket);
  };

const isMissingFamily = (error: unknown): boolean =>
  ["EADDRNOTAVAIL", "EAFNOSUPPORT", "EPROTONOSUPPORT"].includes(errnoOf(error) ?? "");

const reasons: ReadonlyMap<string, string> = new Map([
  ["EADDRINUSE", "address already in use"],
  ["EACCES", "permission denied"],
  ["ENOENT", "no such directory"],
  ["ENOTDIR", "not a directory"],
  ["EROFS", "the file system is read-only"],
  ["ENOSPC", "no space left on device"],
  ["EADDRNOTAVAIL", "the machine does not have this address"],
  ["EAFNOSUPPORT", "the machine does not have this address family"],
]);

const reasonOf = (error: unknown): string => reasons.get(errnoOf(error) ?? "") ?? messageOf(error);

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
