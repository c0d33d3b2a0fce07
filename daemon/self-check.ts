// What the daemon finds of itself: its directories, its ciphers, its versions.
import { lstat, readlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { note, ok } from "../shared/finding.ts";
import type { Finding } from "../shared/logins.ts";
import { fileFindings, findingOf, type Place, socketPlace, statePlace } from "../shared/places.ts";
import { failed, type Need, type Seen, Walk } from "../shared/trusted-path.ts";

export interface Self {
  socket: string;
  /** whether systemd made that */
  isGiven: boolean;
  stateDir: string;
  version: string;
  node: string;
  nativeCrypto: boolean;
  /** whether our own compiled file is there */
  isNative: boolean;
}

/** Looks at them. Never throws. */
export async function selfCheck({
  socket,
  isGiven,
  stateDir,
  version,
  node,
  nativeCrypto,
  isNative,
}: Self): Promise<Finding[]> {
  return [
    ok("tund", `${version} on Node ${node}`),
    await placeOf(socketPlace, dirname(socket), isGiven ? "trusted" : "private"),
    await placeOf(statePlace, stateDir, "private"),
    ...(await stateFile(stateDir)),
    nativeCrypto
      ? ok("ciphers", "compiled")
      : note(
          "ciphers",
          "ssh2's compiled ciphers are missing: forwards cost about twice the CPU",
          "install python3, make and g++, and then tunctl again",
        ),
    isNative
      ? ok("native", "peers are checked, and systemd keeps listeners")
      : note(
          "native",
          "no compiled file for this machine: peers are not checked beyond the socket's mode, and a restart closes listeners",
          "build tunctl where there is a C compiler (npm run build)",
        ),
  ];
}

// In threads: the disk that they are on may not answer.
async function placeOf(place: Place, path: string, need: Need): Promise<Finding> {
  const walk = new Walk(path, need);
  for (let at = walk.next(); at !== undefined; at = walk.next()) walk.take(await look(at));
  return findingOf(place, path, walk.judgement, false);
}

async function look(path: string): Promise<Seen | Error | null> {
  try {
    const stats = await lstat(path);
    const { uid, gid, mode, dev } = stats;
    const target = stats.isSymbolicLink() ? await readlink(path) : null;
    return { uid, gid, mode, dev, target };
  } catch (error) {
    return failed(error);
  }
}

// What the next start would refuse.
async function stateFile(stateDir: string): Promise<Finding[]> {
  const path = join(stateDir, "state.json");
  const seen = await look(path);
  return seen === null || seen instanceof Error ? [] : fileFindings(path, seen);
}
