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
    const { uid, pid } = native.peerCredentials(fd);
    if (uid === own || uid === 0) return true;
    log.warn({ uid, pid }, `refused: a peer of uid ${uid}, and ${own} is ours`);
    socket.destroy();
    return false;
  };
}
