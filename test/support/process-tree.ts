// Processes by their ancestry: sshd's sessions leave its process group, so a group's signal does not reach them.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";

interface Process {
  pid: number;
  parent: number;
}

/** All processes that live; zombies do not. */
const processes = (): Process[] => (existsSync("/proc/self/stat") ? fromProc() : fromPs());

/** Those of these process ids that still live. */
export function living(pids: readonly number[]): number[] {
  const all = new Set(processes().map(({ pid }) => pid));
  return pids.filter((pid) => all.has(pid));
}

/** The ids of all living processes below `root`, nearest first. */
export function descendants(root: number): number[] {
  const all = processes();
  const found = [root];
  for (const ancestor of found)
    found.push(...all.filter((one) => one.parent === ancestor).map((one) => one.pid));
  return found.slice(1);
}

/** Those of them that run a program of this name (Linux). */
export const descendantsNamed = (root: number, name: string): number[] =>
  descendants(root).filter((pid) => {
    try {
      // Node 24 calls its first thread, and with that the process, MainThread.
      const [program = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return readFileSync(`/proc/${pid}/comm`, "utf8") === `${name}\n` || basename(program) === name;
    } catch {
      return false; // it ended while we looked
    }
  });

/** Those that a tund runs for a host or a question: what computes key exchanges is there for all of them (Linux). */
export const programsOf = (tund: number): number[] =>
  descendants(tund).filter((pid) => {
    try {
      return !readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("kem-worker.cjs");
    } catch {
      return true; // it ended while we looked, or there is no /proc
    }
  });

/** Sends a signal; gives whether there was a process to get it. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/**
 * Kills all processes below `root`, those included that they start meanwhile; `root` itself should be stopped, or it may
 * start others.
 */
export function killDescendants(root: number): void {
  // Each round kills what was there; what those had begun in between is found in the next one.
  for (let round = 0; round < 100; round++) {
    const found = descendants(root);
    if (found.length === 0) return;
    for (const pid of found) signal(pid, "SIGKILL");
  }
}

// proc(5): `pid (name) state ppid ...`; the name may hold spaces and parentheses. Zombies are not living.
function fromProc(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return state === "Z" || state === "X" ? [] : [{ pid: Number(name), parent: Number(parent) }];
      } catch {
        return []; // it ended while we looked
      }
    });
}

function fromPs(): Process[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" }).trim().split("\n");
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , state]) => !state?.startsWith("Z"))
    .map(([pid, parent]) => ({ pid: Number(pid), parent: Number(parent) }));
}
