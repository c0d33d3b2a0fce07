// Servers that are not OpenSSH, as the machine has them: real ones on loopback, with habits that servers in the field have.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe } from "vitest";
import { sshString } from "../../daemon/wire-format.ts";
import { startInBackground } from "./background.ts";
import { cacheDirectory } from "./cache-directory.ts";
import { eventually } from "./eventually.ts";
import { startPerConnection } from "./per-connection.ts";
import { run } from "./run.ts";
import { type Key, makeKey } from "./ssh-key.ts";
import { SshConfig } from "./ssh-config.ts";
import { tempDir } from "./temp-dir.ts";

export const otherServers = ["asyncssh", "conch", "dropbear", "go", "paramiko", "tinysshd"] as const;
export type OtherServerName = (typeof otherServers)[number];

/** What a server is to do that it does not by itself. A habit that a server does not know is ignored by it. */
export interface Habits {
  /** the type of the key that it lets in; ed25519 if not given */
  identity?: Key["type"];
  /** how keepalive@openssh.com is answered: with UNIMPLEMENTED (asyncssh), or not at all (asyncssh, go) */
  keepalive?: "unimplemented" | "silence";
  /** global requests of these names are not answered (go) */
  silentOn?: readonly string[];
  /** global requests are never read, and after 16 of them nothing else is (go) */
  requests?: "unread";
  /** -R 0 is answered without a port (go) */
  noPort?: boolean;
  /** every cancel-tcpip-forward is refused (go) */
  refusesCancel?: boolean;
  /** it asks for new keys after so many bytes (asyncssh, go, paramiko), or seconds (asyncssh) */
  rekeyBytes?: number;
  rekeySeconds?: number;
  /** its software version (asyncssh) */
  version?: string;
  /** what its server-sig-algs says (asyncssh) */
  signatureAlgorithms?: readonly string[];
  ciphers?: readonly string[];
  macs?: readonly string[];
  kex?: readonly string[];
  compression?: readonly string[];
  /** one of oddThings(): what it says after the login, or on each channel (asyncssh); users who are called so hear it, too */
  odd?: string;
  /** SSH_MSG_DISCONNECT at the first authentication request, or half a second after the login (asyncssh) */
  disconnect?: { when: "login" | "later"; code: number; text: string; language?: boolean };
}

export interface OtherServer {
  name: OtherServerName;
  host: "127.0.0.1";
  port: number;
  user: string;
  /** path of the client's private key */
  identity: string;
  /** path of a known_hosts file with its key */
  knownHosts: string;
  /** path of an ssh_config file in which `testhost` is this server; give it to `ssh -F` or as TUND_SSH_CONFIG */
  sshConfig: string;
  /** Adds a host to that file: this server under another name, with other or further settings. */
  addHost(name: string, settings?: Readonly<Record<string, string | number>>): Promise<void>;
  /** the directory that all its files are in, and that goes when it stops */
  directory: string;
  /** all it has said */
  log(): string;
  /** Ends it and its connections, and removes its files; a second time is no error. */
  stop(): Promise<void>;
}

/** Where a server was started. */
interface Started {
  port: number;
  log(): string;
  stop(): Promise<void>;
}

interface Place {
  directory: string;
  hostKey: Key;
  authorizedKeys: string;
  habits: Habits;
}

// Debian's packages are made for its own interpreter, whatever else is on PATH.
const PYTHON = "/usr/bin/python3";
const GOPATH = "/usr/share/gocode";
const program = (file: string) => fileURLToPath(new URL(`other-servers/${file}`, import.meta.url));

const isInstalled = (name: string): boolean =>
  ["/usr/sbin", "/usr/bin", "/usr/local/bin"].some((directory) => existsSync(join(directory, name)));

const asks = (module: string): string | null =>
  spawnSync(PYTHON, ["-W", "ignore", "-c", `import ${module}`]).status === 0
    ? null
    : `python3-${module.split(".")[0]} is not installed`;

// They look for authorized_keys in the home of the account alone.
const needsHome = (name: string): string | null => {
  if (!isInstalled(name)) return `${name} is not installed`;
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return `${name} needs root on Linux, to be shown another home`;
  return spawnSync("unshare", ["-m", "true"]).status === 0 ? null : "mount namespaces cannot be made here";
};

const reasons: Record<OtherServerName, () => string | null> = {
  asyncssh: () => asks("asyncssh"),
  conch: () => asks("twisted.conch.ssh.factory"),
  paramiko: () => asks("paramiko"),
  dropbear: () => needsHome("dropbear"),
  tinysshd: () => needsHome("tinysshd"),
  go: () => {
    if (!isInstalled("go")) return "golang-go is not installed";
    if (existsSync(`${GOPATH}/src/golang.org/x/crypto/ssh`)) return null;
    return "golang-golang-x-crypto-dev is not installed";
  },
};

/** Why this server cannot be started here; null when it can. */
export const whyNot = (name: OtherServerName): string | null => reasons[name]();

/** `describe`, or a skipped one that prints why there can be no such server here. */
export function describeServer(name: OtherServerName): typeof describe | typeof describe.skip {
  const why = whyNot(name);
  if (why === null) return describe;
  console.log(`skipped: ${name}, since ${why}`);
  return describe.skip;
}

/** What asyncssh can be told to say that is odd. */
export function oddThings(): string[] {
  const said = execFileSync(PYTHON, ["-W", "ignore", program("asyncssh_server.py"), "", "", '"odd things"'], {
    encoding: "utf8",
  });
  return JSON.parse(said) as string[];
}

/**
 * Starts a server that the current user can log in to.
 * @param authorized further lines of authorized_keys
 * @throws Error with what it said, when it does not come up
 */
export async function startOtherServer(
  name: OtherServerName,
  habits: Habits = {},
  authorized: readonly string[] = [],
): Promise<OtherServer> {
  const place = await tempDir();
  const directory = place.path;
  try {
    const [hostKey, identity] = await Promise.all([
      makeKey(join(directory, "host_ed25519"), "ed25519"),
      makeKey(join(directory, "identity"), habits.identity ?? "ed25519"),
    ]);
    const authorizedKeys = join(directory, "authorized_keys");
    await writeFile(authorizedKeys, `${[identity.publicKey, ...authorized].join("\n")}\n`, { mode: 0o600 });
    const { started, publicKey } = await start(name, { directory, hostKey, authorizedKeys, habits });
    const { port } = started;
    const user = userInfo().username;
    const knownHosts = join(directory, "known_hosts");
    await writeFile(knownHosts, `[127.0.0.1]:${port} ${publicKey}\n`);
    const sshConfig = new SshConfig(join(directory, "ssh_config"), {
      HostName: "127.0.0.1",
      Port: port,
      User: user,
      IdentityFile: identity.path,
      IdentitiesOnly: "yes",
      IdentityAgent: "none",
      UserKnownHostsFile: knownHosts,
      GlobalKnownHostsFile: "/dev/null",
    });
    const addHost = (host: string, settings = {}) => sshConfig.add(host, settings);
    await addHost("testhost");
    return {
      name,
      host: "127.0.0.1",
      port,
      user,
      identity: identity.path,
      knownHosts,
      sshConfig: sshConfig.path,
      addHost,
      directory,
      log: () => started.log(),
      stop: async () => {
        await started.stop();
        await place.remove();
      },
    };
  } catch (error) {
    await place.remove();
    throw error;
  }
}

/** Gives where it listens, and its host key as known_hosts has it. */
async function start(name: OtherServerName, place: Place): Promise<{ started: Started; publicKey: string }> {
  const { hostKey, authorizedKeys, habits } = place;
  const args = [hostKey.path, authorizedKeys, JSON.stringify(habits)];
  const { publicKey } = hostKey;
  switch (name) {
    case "asyncssh":
    case "conch":
    case "paramiko":
      return {
        started: await listening(PYTHON, ["-W", "ignore", program(`${name}_server.py`), ...args], place),
        publicKey,
      };
    case "go":
      return { started: await listening(goProgram(), args, place), publicKey };
    case "dropbear":
      return dropbear(place);
    case "tinysshd":
      return tinysshd(place);
  }
}

/** Starts a program that prints where it listens. */
async function listening(file: string, args: readonly string[], { directory }: Place): Promise<Started> {
  const server = await startInBackground(file, args, { env: process.env, cwd: directory });
  const stop = async () => {
    server.kill("SIGKILL");
    await server.end;
  };
  try {
    const port = await eventually(
      () => {
        const [, said] = /^listening on (\d+)$/m.exec(server.log()) ?? [];
        return said === undefined && !server.ended() ? false : Number(said);
      },
      { deadlineMs: 60_000 },
    );
    if (!(port > 0)) throw new Error("it ended");
    return { port, log: () => server.log(), stop };
  } catch (error) {
    await stop();
    throw new Error(`${file} ${args[0]} did not come up: ${server.log()}`, { cause: error });
  }
}

// Under inetd it logs to syslog alone: there is nothing in log().
async function dropbear(place: Place): Promise<{ started: Started; publicKey: string }> {
  const key = join(place.directory, "dropbear_ed25519");
  const { code, stdout, stderr } = await run("dropbearkey", ["-t", "ed25519", "-f", key]);
  const [publicKey] = /^ssh-ed25519 \S+/m.exec(stdout) ?? [];
  if (code !== 0 || publicKey === undefined) throw new Error(`dropbearkey failed: ${stderr}`);
  const started = await startPerConnection(await atHome(place, ["dropbear", "-i", "-m", "-r", key]));
  return { started, publicKey };
}

async function tinysshd(place: Place): Promise<{ started: Started; publicKey: string }> {
  const keys = join(place.directory, "tinysshd");
  const { code, stderr } = await run("tinysshd-makekey", [keys]);
  if (code !== 0) throw new Error(`tinysshd-makekey failed: ${stderr}`);
  const blob = Buffer.concat([sshString("ssh-ed25519"), sshString(await readFile(join(keys, "ed25519.pk")))]);
  const started = await startPerConnection(await atHome(place, ["tinysshd", "-v", keys]));
  return { started, publicKey: `ssh-ed25519 ${blob.toString("base64")}` };
}

/** A command line that runs a program to which the account's home is another one, with our authorized_keys. */
async function atHome({ directory, authorizedKeys }: Place, argv: readonly string[]): Promise<string[]> {
  const home = join(directory, "home");
  await mkdir(join(home, ".ssh"), { recursive: true, mode: 0o700 });
  await writeFile(join(home, ".ssh", "authorized_keys"), await readFile(authorizedKeys), { mode: 0o600 });
  const script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
  return ["unshare", "-m", "sh", "-c", script, "sh", home, userInfo().homedir, ...argv];
}

/** The Go server, built once on this machine for what its source is. */
function goProgram(): string {
  const source = readFileSync(program("go_server.go"));
  const place = cacheDirectory();
  const built = join(place, `go-server-${createHash("sha256").update(source).digest("hex").slice(0, 16)}`);
  if (existsSync(built)) return built;
  const mine = `${built}.${process.pid}`;
  writeFileSync(`${mine}.go`, source);
  const env = {
    ...process.env,
    GO111MODULE: "off",
    GOPATH,
    GOCACHE: join(place, "go-cache"),
    CGO_ENABLED: "0",
  };
  execFileSync("go", ["build", "-o", mine, `${mine}.go`], { env, stdio: ["ignore", "ignore", "inherit"] });
  renameSync(mine, built); // whole for whoever looks meanwhile
  return built;
}
