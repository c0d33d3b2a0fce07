// Claims the control socket: 0600 in a directory of 0700, and never two daemons on one path.
import { once } from "node:events";
import { fstatSync, readFileSync, statSync } from "node:fs";
import { get } from "node:http";
import type { Server } from "node:net";
import { dirname } from "node:path";
import { messageOf } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import { socketPlace } from "../shared/places.ts";
import { routes } from "../shared/routes.ts";
import { claimDirectory, NotOwnDirectory, refuse } from "../shared/own-directory.ts";
import {
  listenAt,
  obstacleText,
  PathTakenError,
  PathTooLongError,
  type PlacedSocket,
} from "./unix-socket.ts";

const STATUS_DEADLINE_MS = 2000;
const MOST_STATUS = 4096; // characters

/** A socket that systemd listens on for the daemon (sd_listen_fds(3)). */
interface Given {
  fd: number;
  /** whether the kernel is asked who connects */
  knowsPeers: boolean;
}

/**
 * Listens on the control socket.
 * @param given one that systemd listens on
 * @throws Error of one line
 */
export const listenForControl = (
  server: Server,
  path: string,
  given: Given | undefined,
  log: Pick<Log, "warn">,
): Promise<PlacedSocket> =>
  given === undefined ? claimControlSocket(server, path, log) : inheritControlSocket(server, given, path);

/** Takes over the control socket that systemd listens on: its file is systemd's, and stays. @throws Error of one line */
async function inheritControlSocket(
  server: Server,
  { fd, knowsPeers }: Given,
  path: string,
): Promise<PlacedSocket> {
  refuse(path, socketPlace, "trusted");
  refuse(dirname(path), socketPlace, "own"); // mux sockets and an agent of tund's own lie beside it
  const refused = (why: string, cause?: unknown) =>
    new Error(`the control socket that was passed as descriptor ${fd} ${why}`, { cause });
  const open = publicity(fd, path, knowsPeers); // before Node has it, and may have closed it
  const listens = once(server, "listening").catch((error: unknown) => {
    throw refused(NO_STREAM, error);
  });
  server.listen({ fd });
  // Whatever Node can listen on is TCP, whose addresses it tells, or a stream of AF_UNIX. Nobody has been accepted so far.
  const why = server.address() === null ? open : NO_STREAM;
  if (why !== null) {
    server.close();
    listens.catch(() => undefined); // told already
    throw refused(why);
  }
  await listens;
  return { path, release: () => undefined };
}

const PATH = "give ListenStream= a path";
const NO_STREAM = `is no Unix stream socket: ${PATH}`;

/** Why others could come in, or null. Where the kernel is not asked who they are, the modes of socket and directory keep them out. */
function publicity(fd: number, path: string, knowsPeers: boolean): string | null {
  if (knowsPeers) return null;
  const bound = boundPath(fd, path);
  const unasked = "without the compiled file nobody is asked who they are";
  if (!bound.startsWith("/")) return `has no path that can be told, and ${unasked}: ${PATH}`;
  const isOpen = [bound, dirname(bound)].every((one) => (statSync(one).mode & 0o077) !== 0);
  return isOpen ? `is open to others at ${bound}, and ${unasked}: set SocketMode=0600` : null;
}

/** Where a descriptor's socket is bound: its path, `@...` in the abstract namespace, and empty where it is not told. */
function boundPath(fd: number, path: string): string {
  if (process.platform !== "linux") return path; // without an abstract namespace it has one
  const inode = String(fstatSync(fd).ino);
  const sockets = readFileSync("/proc/self/net/unix", "utf8").split("\n");
  const found = sockets
    .map((line) => /^(?:\S+ +){6}(\d+) (.*)$/.exec(line))
    .find((one) => one?.[1] === inode);
  return found?.[2] ?? "";
}

/**
 * Listens on the control socket, whose directory is made if it is missing.
 * @throws Error of one line: who holds it, what is wrong with the path or its directory
 */
export async function claimControlSocket(
  server: Server,
  path: string,
  log: Pick<Log, "warn">,
): Promise<PlacedSocket> {
  const directory = dirname(path);
  const warn = (line: string) => log.warn({}, line);
  await claimDirectory(directory, socketPlace, warn).catch((error: unknown) => {
    if (error instanceof NotOwnDirectory) throw error;
    throw new Error(
      `cannot make ${directory} for the control socket: ${messageOf(error)}; set TUND_SOCKET, or HOME or TUND_STATE_DIR to a place of yours`,
      { cause: error },
    );
  });
  try {
    return await listenAt(server, { path, mode: 0o600, replaceAny: false });
  } catch (error) {
    throw await explain(error, path);
  }
}

const besideIt =
  "speak to that one, or have one beside it, with a TUND_STATE_DIR and a TUND_SOCKET of its own (for its tunctl too)";

async function explain(error: unknown, path: string): Promise<unknown> {
  if (error instanceof PathTooLongError)
    return new Error(`the control socket: ${error.message}; set TUND_SOCKET to a shorter one`, {
      cause: error,
    });
  if (!(error instanceof PathTakenError)) return error;
  if (error.obstacle === "answered")
    return new Error(`another tund holds ${path}${await holder(path)}: ${besideIt}`, { cause: error });
  return new Error(`${path} ${obstacleText(error)}: remove it, or set TUND_SOCKET`, { cause: error });
}

// Whoever listens there may be anybody, or have ten thousand masters: only the beginning is looked at, and in time.
function holder(socketPath: string): Promise<string> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(STATUS_DEADLINE_MS);
    const request = get({ socketPath, path: routes.getStatus.url, signal }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        const pid = /"pid":(\d{1,10}),/.exec(text)?.[1];
        if (pid !== undefined) resolve(`: pid ${pid}`);
        if (pid !== undefined || text.length > MOST_STATUS) request.destroy();
      });
      response.on("error", () => resolve(""));
      response.on("end", () => resolve(""));
    });
    request.on("error", () => resolve(""));
  });
}
