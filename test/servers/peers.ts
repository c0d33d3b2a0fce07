// The servers that tund is put to the test on: OpenSSH as the machine has it and newer, and what is not OpenSSH.
import { describe } from "vitest";
import { newerOpenSsh, type OpenSsh, openSshOf } from "../support/newer-openssh.ts";
import {
  type Habits,
  type OtherServerName,
  otherServers,
  startOtherServer,
  whyNot,
} from "../support/other-servers.ts";
import { startSshd } from "../support/sshd.ts";

/** A server that runs, whichever it is. */
export interface Peer {
  port: number;
  identity: string;
  /** path of an ssh_config file in which `testhost` is this server */
  sshConfig: string;
  addHost(name: string, settings?: Readonly<Record<string, string | number>>): Promise<void>;
  directory: string;
  log(): string;
  stop(): Promise<void>;
}

export interface PeerOptions {
  habits?: Habits;
  /** further lines of authorized_keys */
  authorized?: readonly string[];
}

/** One of the kinds of server. */
export interface Software {
  name: string;
  /** why it cannot be had here */
  whyNot: string | null;
  /** whether it can be told after how many bytes it is to ask for new keys */
  asksForKeys: boolean;
  /** whether it forwards anything */
  forwards: boolean;
  start(options?: PeerOptions): Promise<Peer>;
}

const asksForKeys: ReadonlySet<OtherServerName> = new Set(["asyncssh", "go", "paramiko"]);

const notOpenSsh = otherServers.map((name) => ({
  name,
  whyNot: whyNot(name),
  asksForKeys: asksForKeys.has(name),
  forwards: name !== "tinysshd",
  start: ({ habits, authorized }: PeerOptions = {}) => startOtherServer(name, habits, authorized),
}));

/** All of them, and of OpenSSH the machine's own and the newest that can be had. What cannot be had says why not. */
export async function allSoftware(): Promise<Software[]> {
  const newer = await newerOpenSsh();
  const own = await openSshOf("machine");
  const releases = newer === null || newer.release === "machine" ? [own] : [own, newer];
  return [...releases.map(openSshServer), ...notOpenSsh];
}

function openSshServer(found: OpenSsh | { whyNot: string }): Software {
  const openSsh = "version" in found ? found : undefined;
  return {
    name: `OpenSSH ${openSsh?.version.join(".") ?? ""}`.trim(),
    whyNot: "whyNot" in found ? found.whyNot : null,
    asksForKeys: true,
    forwards: true,
    start: ({ habits = {}, authorized = [] }: PeerOptions = {}) =>
      startSshd({
        openSsh,
        config: habits.rekeyBytes === undefined ? [] : [`RekeyLimit ${habits.rekeyBytes}`],
        authorizedKeys: (key) => [key, ...authorized],
      }),
  };
}

/** `describe` for a server, or a skipped one that prints why it cannot be had here. */
export function describePeer({ name, whyNot: reason }: Software): typeof describe | typeof describe.skip {
  if (reason === null) return describe;
  console.log(`skipped: ${name}, since ${reason}`);
  return describe.skip;
}
