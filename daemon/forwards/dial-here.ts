// Dialling from this machine: the far end of a remote forward.
import { connect, Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
import { formatDestination } from "../../shared/forward-spec.ts";
import type { Files } from "../files.ts";
import type { Resolver } from "../resolver.ts";
import type { FixedDestination } from "./local.ts";

const DIAL_DEADLINE_MS = 30_000;
const RESOLVING_MS = 10_000;
// Node tries the next address of a name after 250 ms: too soon for a destination that is far.
const NEXT_ADDRESS_MS = 5000;

export interface Dialling {
  /** Settles with a half-open socket that has read nothing yet. @throws TundError HOST_UNREACHABLE, CONNECT_TIMEOUT */
  connected: Promise<Socket>;
  /** Gives up. */
  destroy(): void;
}

export interface DiallingOptions {
  files: Files;
  resolver: Resolver;
  /** whose dialling it is: one owner's names do not keep those of others waiting */
  owner: object;
  clock: Clock;
}

/** Dials a TCP or Unix destination. The socket has a permanent 'error' listener. */
export function dialHere(to: FixedDestination, { files, resolver, owner, clock }: DiallingOptions): Dialling {
  const over = new AbortController();
  const lookup = resolver.forSocket({ deadlineMs: RESOLVING_MS, signal: over.signal, owner });
  const socket =
    "path" in to
      ? connectPath(to.path, files)
      : connect({
          host: to.host,
          port: to.port,
          allowHalfOpen: true,
          noDelay: true,
          lookup,
          autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
        });
  const connected = new Promise<Socket>((resolve, reject) => {
    const where = formatDestination(to);
    const timer = clock.after(DIAL_DEADLINE_MS, () => {
      socket.destroy();
      reject(
        new TundError(
          "CONNECT_TIMEOUT",
          `connect failed: ${where} did not answer within ${DIAL_DEADLINE_MS / 1000} s`,
        ),
      );
    });
    // ECONNRESET, EPIPE after it was connected: 'close' follows each, and says all.
    socket.on("error", (error) => {
      timer.cancel();
      const why = reasons.get(errnoOf(error) ?? "") ?? messageOf(error);
      reject(new TundError("HOST_UNREACHABLE", `connect failed: ${where}: ${why}`, { cause: error }));
    });
    socket.once("close", () => {
      timer.cancel();
      over.abort(new Error("given up"));
      reject(new TundError("HOST_UNREACHABLE", `connect failed: ${where}: given up`));
    });
    socket.once("connect", () => {
      timer.cancel();
      resolve(socket);
    });
  });
  return { connected, destroy: () => socket.destroy() };
}

// connect() looks the path up on the event loop: a directory that does not answer must not have everybody wait.
function connectPath(path: string, files: Files): Socket {
  const socket = new Socket({ allowHalfOpen: true });
  files.exists(path).then(
    () => void (socket.destroyed || socket.connect({ path })),
    (error: Error) => socket.destroy(error),
  );
  return socket;
}

const reasons: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "connection refused"],
  ["EHOSTUNREACH", "no route to host"],
  ["ENETUNREACH", "network is unreachable"],
  ["ETIMEDOUT", "connection timed out"],
  ["ENOTFOUND", "cannot resolve the name"],
  ["EAI_AGAIN", "cannot resolve the name now"],
  ["ENOENT", "no such socket"],
  ["EACCES", "permission denied"],
  ["EMFILE", "too many open files"],
]);
