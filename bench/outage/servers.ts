// Servers of two kinds, each at an address of its own: they go with all their sessions, and come again.
import { chmod, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { endianness, userInfo } from "node:os";
import { join } from "node:path";
import { type Background, startInBackground } from "../../test/support/background.ts";
import { eventually } from "../../test/support/eventually.ts";
import { killDescendants } from "../../test/support/process-tree.ts";
import { run } from "../../test/support/run.ts";
import { type Key, makeKey } from "../../test/support/ssh-key.ts";
import { serverConfig } from "../../test/support/sshd-config.ts";
import { addressOf, type Networks } from "./networks.ts";

export const PORT = 22;

/** When a server has let somebody in, in milliseconds of performance.now(), and by which key. */
export interface Login {
  at: number;
  fingerprint: string;
}

export interface Server {
  address: string;
  logins: readonly Login[];
  /** Starts it; settles when its port answers. */
  up: () => Promise<void>;
  /** Kills it with its sessions: its port is refused then. */
  down: () => Promise<void>;
}

export interface Rooms {
  directory: string;
  networks: Networks;
  /** the keys that may come in */
  keys: readonly Key[];
}

interface Prepared {
  sshdKey: Key;
  dropbearKey: string;
  /** what is dropbear's home: it reads no other authorized_keys */
  home: string;
  knownHosts: string;
}

/** Makes what all servers share, and the known_hosts file for them. */
export async function prepare({ directory, keys }: Rooms): Promise<Prepared> {
  const sshdKey = await makeKey(join(directory, "host_ed25519"), "ed25519");
  const dropbearKey = join(directory, "host_dropbear");
  const made = await run("dropbearkey", ["-t", "ed25519", "-f", dropbearKey]);
  if (made.code !== 0) throw new Error(`dropbearkey: ${made.stderr.trim()}`);
  const dropbearPublic = /^ssh-ed25519 \S+/m.exec(made.stdout)?.[0] ?? "";
  const home = join(directory, "home");
  await mkdir(join(home, ".ssh"), { recursive: true, mode: 0o700 });
  const authorized = join(directory, "authorized_keys");
  await writeFile(authorized, keys.map(({ publicKey }) => `${publicKey}\n`).join(""));
  await copyFile(authorized, join(home, ".ssh", "authorized_keys"));
  await chmod(join(home, ".ssh", "authorized_keys"), 0o600);
  const knownHosts = join(directory, "known_hosts");
  await writeFile(knownHosts, `* ${sshdKey.publicKey}\n* ${dropbearPublic}\n`);
  return { sshdKey, dropbearKey, home, knownHosts };
}

/** The server of that number: OpenSSH and dropbear by turns. It is down. */
export function makeServer(index: number, { directory, networks }: Rooms, prepared: Prepared): Server {
  const address = addressOf(index);
  const logins: Login[] = [];
  let running: Background | undefined;
  const start = index % 2 === 0 ? sshd : dropbear;
  return {
    address,
    logins,
    up: async () => {
      const command = await start(address, directory, prepared);
      running = await startInBackground(networks.far[0] ?? "", [...networks.far.slice(1), ...command], {
        env: process.env,
        cwd: directory,
        onOutput: (text) => logins.push(...loginsIn(text)),
      });
      const server = running;
      await eventually(async () => {
        if (server.ended()) throw new Error(`a server ended: ${server.log()}`);
        return isListening(server.pid, address);
      });
    },
    down: async () => {
      const server = running;
      running = undefined;
      if (server === undefined) return;
      server.kill("SIGSTOP"); // it starts no further sessions
      killDescendants(server.pid);
      server.kill("SIGKILL");
      await server.end;
    },
  };
}

// proc(5): the listening sockets (0A) of the network that the process is in, with the bytes of addresses in the machine's order.
async function isListening(pid: number, address: string): Promise<boolean> {
  const bytes = address.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"));
  const name = `${(endianness() === "LE" ? bytes.toReversed() : bytes).join("")}:${PORT.toString(16).padStart(4, "0")}`;
  const sockets = await readFile(`/proc/${pid}/net/tcp`, "utf8");
  return sockets.split("\n").some((line) => / 0A /.test(line) && line.includes(` ${name.toUpperCase()} `));
}

// "Accepted publickey for me from ... ssh2: ED25519 SHA256:...", "Pubkey auth succeeded for 'me' with ssh-ed25519 key SHA256:..."
const loginsIn = (text: string): Login[] =>
  [...text.matchAll(/(?:Accepted publickey|Pubkey auth succeeded) .*(SHA256:[\w+/]{43})/g)].map(
    ([, fingerprint = ""]) => ({ at: performance.now(), fingerprint }),
  );

async function sshd(address: string, directory: string, { sshdKey }: Prepared): Promise<string[]> {
  const file = join(directory, `sshd_config-${address}`);
  const config = serverConfig({ directory, hostKeys: [sshdKey], port: PORT, host: address }, []);
  await writeFile(file, config.map((line) => `${line}\n`).join(""));
  return ["/usr/sbin/sshd", "-D", "-e", "-f", file];
}

async function dropbear(
  address: string,
  directory: string,
  { dropbearKey, home }: Prepared,
): Promise<string[]> {
  const pid = join(directory, `dropbear-${address}.pid`);
  const server = `exec dropbear -F -E -s -r '${dropbearKey}' -p ${address}:${PORT} -P '${pid}'`;
  const script = `mount --bind '${home}' '${userInfo().homedir}' && ${server}`;
  return ["unshare", "-m", "sh", "-c", script];
}
