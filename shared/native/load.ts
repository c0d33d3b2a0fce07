// The one compiled file, for what Node has no call for. It is optional: without it the daemon does without.
import type { Server, Socket } from "node:net";

/** Who is at the other end of a Unix socket (SO_PEERCRED, unix(7)). */
interface Credentials {
  pid: number;
  uid: number;
  gid: number;
}

export interface Native {
  /** @throws Error with the system's reason */
  peerCredentials(fd: number): Credentials;
  /**
   * Sends a datagram to a Unix socket, with descriptors; never blocks.
   * @throws Error with the system's reason, and the code EAGAIN when its reader is behind
   */
  sendDatagram(path: string, text: string, fds: readonly number[]): void;
  /** Writes what can be written without waiting, whatever the descriptor's flags: how many bytes, or an errno below 0. */
  writeNow(fd: number, bytes: Buffer): number;
  /** Ends the process then if it has not ended by itself: exit(3) waits for libuv's threads, one of which may wait for a disk. */
  exitWithin(ms: number, code: number): void;
  /** Writing to a terminal whose user has `stty tostop` does not stop the process. */
  ignoreTerminalStops(): void;
  /** Gives memory that malloc keeps although it was freed back to the system. */
  trimMemory(): void;
  /** Connects to a Unix socket: a descriptor that blocks, or an errno below 0. @throws Error with the system's reason */
  connectUnix(path: string): number;
  /** Whether what is written to a descriptor reaches nobody any more: a pipe without a reader, a socket or terminal hung up. */
  isHungUp(fd: number): boolean;
  /**
   * Reaps children that have ended, but those that libuv has started and these pids: PID 1's orphans. Never blocks. Gives whether
   * it has to be called again, because there may be more, or one that is not to be reaped was in front.
   */
  reapOrphans(own: readonly number[]): boolean;
  /**
   * Starts a program in one of libuv's threads, in a session of its own, with a socket for each of stdin, stdout and stderr: the
   * descriptors of our ends, or the errno of why not. Strings must have no NUL in them. @throws Error when it is given something else
   */
  startChild(argv: readonly string[], envp: readonly string[]): Promise<StartedChild | { errno: number }>;
  /** Takes note of the end of a child that startChild() has started: null as long as it lives. What does not hold is -1. */
  reapChild(pid: number): { code: number; signal: number } | null;
  /**
   * Takes the connected socket that was passed over a Unix socket (SCM_RIGHTS, unix(7)): its descriptor, or an errno below 0:
   * ENODATA for a message without one, ENOTSOCK for another kind of descriptor, EAGAIN for no message. Never blocks.
   */
  receiveSocket(fd: number): number;
  /** Sets the DS field of what a TCP socket sends (RFC 2474; IP_TOS, IPV6_TCLASS): 0, or an errno below 0. */
  setTrafficClass(fd: number, value: number): number;
}

export interface StartedChild {
  errno: 0;
  pid: number;
  stdin: number;
  stdout: number;
  stderr: number;
}

/** Its name beside the program. */
export const nativeFile = (platform: string, arch: string): string => `unixfd-${platform}-${arch}.node`;

/** Loads it. Gives null where there is none for this machine. */
export function loadNative(path: string): Native | null {
  const module = { exports: {} };
  try {
    process.dlopen(module, path);
  } catch {
    return null;
  }
  return module.exports as Native;
}

/** The descriptor below a socket or a listener, while it is open: Node has it, and does not document where. */
export function descriptorOf(socket: Socket | Server): number | undefined {
  const { _handle } = socket as unknown as { _handle: { fd?: number } | null };
  const fd = _handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}
