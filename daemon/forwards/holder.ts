// Who holds a port: pid and command, as /proc tells (proc(5)). Elsewhere than on Linux nobody is named.
import { readdir, readFile, readlink } from "node:fs/promises";

const LISTEN = "0A";

interface TcpSocket {
  port: number;
  inode: string;
  uid: string;
}

/**
 * Names the process that listens on a TCP port: `postgres (pid 812)`; `a process of uid 999` when only that can be
 * seen; null when nothing can. Never throws.
 */
export async function portHolder(port: number): Promise<string | null> {
  const sockets = (await Promise.all(["/proc/net/tcp", "/proc/net/tcp6"].map(readSockets))).flat();
  const held = sockets.filter((socket) => socket.port === port);
  if (held.length === 0) return null;
  const pid = await pidHolding(new Set(held.map(({ inode }) => `socket:[${inode}]`)));
  if (pid === null) return `a process of uid ${held[0]?.uid}`;
  const command = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "?");
  return `${command.trim()} (pid ${pid})`;
}

async function readSockets(file: string): Promise<TcpSocket[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTEN)
    .map(([, local = "", , , , , , uid = "", , inode = ""]) => ({
      port: Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16),
      uid,
      inode,
    }));
}

async function pidHolding(links: ReadonlySet<string>): Promise<string | null> {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^[0-9]+$/.test(name));
  for (const pid of pids) {
    const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const targets = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
    if (targets.some((target) => links.has(target))) return pid;
  }
  return null;
}
