// A Unix socket's life on disk: bound in private, put in place at once, replaced only when stale, removed only if ours.
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
} from "node:fs";
import { connect, type Server } from "node:net";
import { dirname, join } from "node:path";
import { errnoOf, messageOf } from "../shared/errors.ts";
import { maxSocketPath } from "../shared/socket-path.ts";

/** What stands in the way of a socket: `unsure` when the system does not tell whether somebody listens on it. */
export type Obstacle = "answered" | "unsure" | "foreign" | "not a socket";

/** The path is taken by something that may not be replaced. */
export class PathTakenError extends Error {
  override readonly name = "PathTakenError";
  readonly obstacle: Obstacle;

  constructor(path: string, obstacle: Obstacle, cause?: unknown) {
    super(`${path} is taken: ${obstacle}`, { cause });
    this.obstacle = obstacle;
  }
}

/** What is at the path, behind its name: `belongs to another user`. */
export const obstacleText = ({ obstacle, cause }: PathTakenError): string =>
  ({
    answered: "is listened on",
    unsure: `may be listened on (${messageOf(cause)})`,
    foreign: "belongs to another user",
    "not a socket": "exists and is not a socket",
  })[obstacle];

/** The path does not fit `sun_path` (unix(7)). */
export class PathTooLongError extends Error {
  override readonly name = "PathTooLongError";
  readonly limit: number;

  constructor(path: string, limit: number) {
    super(`the path has ${Buffer.byteLength(path)} bytes, and ${limit} are the limit: ${path}`);
    this.limit = limit;
  }
}

export interface PlaceOptions {
  path: string;
  /** its permission bits */
  mode: number;
  /** whether a socket on which somebody answers, or another user's, is replaced as well (StreamLocalBindUnlink) */
  replaceAny: boolean;
}

export interface PlacedSocket {
  path: string;
  /** Removes the file, if it is still the one that was placed. */
  release(): void;
}

/**
 * Listens on a Unix socket. As OpenSSH does for its ControlPath, it is bound under a name of its own and linked into
 * place: it appears complete, or not at all, and link() lets one of two rivals win. A stale one of ours (nobody answers)
 * is replaced; a file that is no socket never is.
 * @throws PathTakenError, PathTooLongError, and the system's errors (ENOENT, EACCES, ...)
 */
export async function listenAt(
  server: Server,
  { path, mode, replaceAny }: PlaceOptions,
): Promise<PlacedSocket> {
  const own = join(dirname(path), `.${randomBytes(3).toString("hex")}`);
  refuseLongPath(path, own);
  statSync(dirname(path)); // bind() would call a missing directory a matter of permission (libuv)
  server.listen(own);
  await once(server, "listening");
  try {
    setMode(own, mode);
    const inode = lstatSync(own).ino;
    await linkInPlace(own, path, replaceAny);
    return { path, release: () => unlinkIfOurs(path, inode) };
  } catch (error) {
    server.close();
    throw error;
  } finally {
    unlinkQuietly(own);
  }
}

/**
 * Listens on a socket that was placed in an earlier life, if there is one and its path still leads to a socket.
 * @param fd its descriptor; closed if it is of no use any more
 */
export async function adopt(
  server: Server,
  path: string,
  fd: number | undefined,
): Promise<PlacedSocket | undefined> {
  if (fd === undefined) return undefined;
  const found = statOf(path);
  if (found?.isSocket() !== true) {
    closeSync(fd);
    return undefined;
  }
  server.listen({ fd });
  await once(server, "listening");
  return { path, release: () => unlinkIfOurs(path, found.ino) };
}

const O_PATH = 0o10000000; // open(2), Linux; Node does not name it

// Of the socket that was bound, and of nothing that has taken its name since: others may be able to write in the directory of a
// forward. Node has no chmod() that does not follow links; what was opened as a path alone can be changed by its descriptor.
function setMode(path: string, mode: number): void {
  if (process.platform !== "linux") return chmodSync(path, mode);
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  try {
    const found = fstatSync(fd);
    if (!found.isSocket() || found.uid !== process.geteuid?.()) throw new PathTakenError(path, "foreign");
    chmodSync(`/proc/self/fd/${fd}`, mode);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    chmodSync(path, mode); // there is no /proc
  } finally {
    closeSync(fd);
  }
}

// Node before 24 binds a path that is cut off instead of refusing one that is too long.
function refuseLongPath(...paths: string[]): void {
  const limit = maxSocketPath(process.platform);
  for (const path of paths) if (Buffer.byteLength(path) > limit) throw new PathTooLongError(path, limit);
}

async function linkInPlace(own: string, path: string, replaceAny: boolean): Promise<void> {
  for (;;) {
    try {
      return linkSync(own, path);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
    const found = statOf(path);
    if (found === undefined) continue;
    if (!found.isSocket()) throw new PathTakenError(path, "not a socket");
    if (!replaceAny && found.uid !== process.geteuid?.()) throw new PathTakenError(path, "foreign");
    if (!replaceAny) await refuseLive(path);
    bury(path, found);
  }
}

// Somebody else may replace the stale socket between the look and the removal: only what was looked at is removed, and
// what was not is put back.
function bury(path: string, stale: Stats): void {
  const grave = join(dirname(path), `.${randomBytes(3).toString("hex")}`);
  try {
    renameSync(path, grave);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  if (lstatSync(grave).ino !== stale.ino) {
    try {
      linkSync(grave, path);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
  }
  unlinkSync(grave);
}

/** @throws PathTakenError unless it is certain that nobody listens there */
function refuseLive(path: string): Promise<void> {
  return new Promise((stale, taken) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      taken(new PathTakenError(path, "answered"));
    });
    probe.once("error", (error) => {
      const errno = errnoOf(error) ?? "";
      if (errno === "ECONNREFUSED" || errno === "ENOENT") return stale();
      // Whoever listens there has its queue full (unix(7)).
      return taken(new PathTakenError(path, errno === "EAGAIN" ? "answered" : "unsure", error));
    });
  });
}

const statOf = (path: string): Stats | undefined => lstatSync(path, { throwIfNoEntry: false });

function unlinkIfOurs(path: string, inode: number): void {
  if (statOf(path)?.ino === inode) unlinkQuietly(path);
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
