// Only the daemon's own user may speak to it, and root: what the socket's mode says, asked of the kernel once more.
import type { Socket } from "node:net";
import type { Log } from "../shared/log.ts";
import { descriptorOf, type Native } from "../shared/native/load.ts";

/** Gives what ends a connection from anybody else, and tells whether it is from one who may. Without the compiled file all may. */
export function doorkeeper(native: Native | null, log: Log): (socket: Socket) => boolean {
  const own = process.geteuid?.();
  return (socket) => {
    const fd = descriptorOf(socket);
    if (native === null || fd === undefined) return true;
    const { uid, pid } = credentialsOf(native, fd);
    if (uid === own || uid === 0) return true;
    log.warn({ uid, pid }, `refused: a peer of uid ${uid ?? "unknown"}, and ${own} is ours`);
    socket.destroy();
    return false;
  };
}

/** Whether a peer is of our own uid, and not root; without the compiled file nobody can tell, and whoever may come in is. */
export function isOwnPeer(native: Native | null, socket: Socket): boolean {
  const fd = descriptorOf(socket);
  return native === null || fd === undefined || credentialsOf(native, fd).uid === process.geteuid?.();
}

// Whom the kernel does not name may not enter; what it says instead must not end the daemon.
function credentialsOf(native: Native, fd: number): { uid?: number; pid?: number } {
  try {
    return native.peerCredentials(fd);
  } catch {
    return {};
  }
}
