// Who holds a port: pid and command, as /proc tells (proc(5)). Elsewhere than on Linux nobody is named.
import { readdir, readFile, readlink } from "node:fs/promises";
import { basename } from "node:path";

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
  return `${await commandOf(pid)} (pid ${pid})`;
}

// Node 24 and later call their first thread, and with that the process, MainThread: there the program's own name says more.
async function commandOf(pid: string): Promise<string> {
  const command = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "?")).trim();
  if (command !== "MainThread") return command;
  const [program = ""] = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
  return basename(program) || command;
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
