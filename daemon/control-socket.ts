// Claims the control socket and gives it up: private from its first instant, never two daemons on one path.
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
} from "node:fs";
import { get } from "node:http";
import { connect, type Server } from "node:net";
import { dirname, join } from "node:path";
import { errnoOf, messageOf } from "../shared/errors.ts";
import { routes } from "../shared/routes.ts";
import { maxSocketPath } from "../shared/socket-path.ts";

const PROBE_DEADLINE_MS = 2000;

export interface ControlSocket {
  path: string;
  /** Removes the socket file, if it is still ours. */
  release(): void;
}

/**
 * Listens on a Unix socket of mode 0600 in a directory of mode 0700. As OpenSSH does for its ControlPath, the socket is
 * bound under a name of its own and linked into place: it appears complete, or not at all, and link() lets one daemon
 * win. A socket on which nobody answers is replaced.
 * @throws Error of one line: who holds it, what is wrong with the path or its directory
 */
export async function claimControlSocket(
  server: Server,
  path: string,
  umask: (mask: number) => number,
): Promise<ControlSocket> {
  const directory = dirname(path);
  const own = join(directory, `.${randomBytes(3).toString("hex")}`);
  refuseLongPath(path, own);
  makePrivateDirectory(directory);
  await listen(server, own, umask);
  try {
    const inode = lstatSync(own).ino;
    await linkInPlace(own, path);
    return { path, release: () => unlinkIfOurs(path, inode) };
  } catch (error) {
    server.close();
    throw error;
  } finally {
    unlinkQuietly(own);
  }
}

function refuseLongPath(...paths: string[]): void {
  const limit = maxSocketPath(process.platform);
  for (const path of paths) {
    const length = Buffer.byteLength(path);
    if (length > limit)
      throw new Error(
        `the control socket's path has ${length} bytes, and ${limit} are the limit: ${path}; set TUND_SOCKET to a shorter one`,
      );
  }
}

function makePrivateDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Error(`cannot make ${directory} for the control socket: ${messageOf(error)}; set TUND_SOCKET`, {
      cause: error,
    });
  }
  const { uid, mode } = statSync(directory);
  const me = process.getuid?.() ?? uid;
  if (uid !== me && uid !== 0)
    throw new Error(
      `the directory ${directory} belongs to uid ${uid}: the control socket would not be private there`,
    );
  if ((mode & 0o022) !== 0)
    throw new Error(
      `others may write in ${directory}: the control socket needs a directory of its own (mode 0700); set TUND_SOCKET`,
    );
  // What was made for the socket alone may be closed to others; a directory that is somebody else's stays as it is.
  if (uid === me && (mode & 0o077) !== 0) chmodSync(directory, 0o700);
}

async function listen(server: Server, path: string, umask: (mask: number) => number): Promise<void> {
  // bind() happens within listen(): between the two calls nothing else runs.
  const before = umask(0o177);
  try {
    server.listen(path);
  } finally {
    umask(before);
  }
  await once(server, "listening");
}

async function linkInPlace(own: string, path: string): Promise<void> {
  for (;;) {
    try {
      return linkSync(own, path);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
    const found = statOf(path);
    if (found === undefined) continue;
    if (!found.isSocket())
      throw new Error(`${path} exists and is not a socket: remove it, or set TUND_SOCKET`);
    if (await answers(path)) throw new Error(`another tund holds ${path}${await holder(path)}`);
    bury(path, found);
  }
}

// Another daemon may replace the stale socket between the look and the removal: only what was looked at is removed, and
// what was not is put back.
function bury(path: string, stale: Stats): void {
  const grave = `${path}.${randomBytes(3).toString("hex")}`;
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

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

function holder(socketPath: string): Promise<string> {
  return new Promise((resolve) => {
    const request = get(
      { socketPath, path: routes.getStatus.url, timeout: PROBE_DEADLINE_MS },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve(/"pid":(\d+)/.exec(text)?.[1]?.replace(/^/, ": pid ") ?? ""));
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(""));
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
