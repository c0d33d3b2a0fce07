// Whose the control socket is. Nothing is sent to anybody who is neither ourselves nor root: it may be a passphrase.
import { lstatSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Native } from "../shared/native/load.ts";
import { SYSTEM_SOCKET } from "../shared/socket-path.ts";
import { judge } from "../shared/trusted-path.ts";

/** The control socket of a daemon, as tunctl connects to it. */
export interface ControlSocket {
  readonly path: string;
  /** The compiled file, which asks the kernel who listens. Without it the owners of socket and directory alone count. */
  readonly native: Native | null;
}

/** A control socket that is somebody else's. */
export class ForeignSocketError extends Error {
  override readonly name = "ForeignSocketError";
  /** What is theirs. */
  readonly part: "directory" | "socket" | "listener";
  readonly uid: number;

  constructor(path: string, part: ForeignSocketError["part"], uid: number) {
    super(`the ${part} of ${path} is of uid ${uid}`);
    [this.part, this.uid] = [part, uid];
  }
}

/**
 * Looks at a control socket before it is connected to: it and its directory are ours or root's, or the machine's own.
 * @throws ForeignSocketError, and the system's errors (ENOENT: nobody has made it)
 */
export function refuseForeignSocket(path: string): void {
  refuseStranger(path, "directory", statSync(dirname(path)).uid);
  const found = lstatSync(path);
  refuseStranger(path, "socket", found.uid);
  if (found.isSymbolicLink()) refuseForeignSocket(realpathSync(path));
}

/** Whether a control socket is of this very user, and neither root's nor the machine's own. */
export function isOwnSocket(path: string): boolean {
  try {
    return statSync(path).uid === process.geteuid?.();
  } catch {
    return false; // whoever connects to it says why not
  }
}

/**
 * Looks at who listens, once connected: the uid that called listen(2), which is root's where systemd did (unix(7)).
 * @param fd of the connection; undefined when it has ended
 * @throws ForeignSocketError, and Error of the system
 */
export function refuseForeignPeer({ path, native }: ControlSocket, fd: number | undefined): void {
  if (native === null || fd === undefined) return;
  refuseStranger(path, "listener", native.peerCredentials(fd).uid);
}

/**
 * Where the kernel cannot be asked who listens, nobody else may be able to change where a path leads between a look and a
 * connection. @throws Error that says what they could change
 */
export function refuseOpenPath(path: string): void {
  const { refusal } = realPath(path) === SYSTEM_SOCKET ? { refusal: null } : judge(path, "trusted");
  if (refusal !== null)
    throw new Error(`${refusal.why}, and without the compiled file nobody is asked who listens there`);
}

function refuseStranger(path: string, part: ForeignSocketError["part"], uid: number): void {
  const own = process.geteuid?.() ?? uid;
  if (uid === own || uid === 0 || isMachines(path, uid)) return;
  throw new ForeignSocketError(path, part, uid);
}

// Only root can have made a directory in root's /run: whoever has this one is the machine's own tund.
function isMachines(path: string, uid: number): boolean {
  if (realPath(path) !== SYSTEM_SOCKET) return false;
  const [own, run] = [dirname(SYSTEM_SOCKET), dirname(dirname(SYSTEM_SOCKET))].map((one) => lstatSync(one));
  return uid === own?.uid && run?.uid === 0 && (run.mode & 0o022) === 0;
}

// Who may not look into the directory is told so when it is connected to.
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
