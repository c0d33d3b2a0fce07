// A real OpenSSH server on loopback, with keys of its own and an ssh_config that leads to it.
import { existsSync, mkdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { type Background, startInBackground } from "./background.ts";
import { eventually } from "./eventually.ts";
import { freePort } from "./free-port.ts";
import { greeting } from "./greeting.ts";
import type { OpenSsh } from "./newer-openssh.ts";
import { killDescendants, descendants, signal } from "./process-tree.ts";
import { run } from "./run.ts";
import { type Key, makeKey } from "./ssh-key.ts";
import { SshConfig } from "./ssh-config.ts";
import { serverConfig } from "./sshd-config.ts";
import { tempDir } from "./temp-dir.ts";

// sshd wants its own absolute path: it starts itself anew for each connection.
const SSHD = "/usr/sbin/sshd";

export interface SshdOptions {
  /** another OpenSSH than the machine's own */
  openSsh?: OpenSsh | undefined;
  /** lines of sshd_config, before ours: the first value of a keyword is the one that counts. Match blocks come last */
  config?: readonly string[] | ((directory: string) => readonly string[]);
  /** makes what the server's files need, before they are written, in its directory */
  prepare?: (directory: string) => Promise<void>;
  /** the lines of authorized_keys, from the public key of our identity; that key alone when it is left out */
  authorizedKeys?: (publicKey: string) => readonly string[];
  hostKeyTypes?: readonly Key["type"][];
  /** makes the certificate of a host key; gives its path */
  certify?: (key: Key) => Promise<string>;
  /** another network to be in: what starts a program there, and the address that the server has there */
  network?: { within: readonly string[]; address: string };
}

export interface Sshd {
  /** its address: 127.0.0.1 unless it is in another network */
  host: string;
  port: number;
  user: string;
  /** path of the client's private key */
  identity: string;
  /** the host keys, public and private */
  hostKeys: readonly Key[];
  /** the lines that known_hosts has for it: `[127.0.0.1]:PORT TYPE BASE64` */
  hostKeyLines: readonly string[];
  /** path of a known_hosts file with these lines */
  knownHosts: string;
  /** path of an ssh_config file in which `testhost` is this server; give it to `ssh -F` or as TUND_SSH_CONFIG */
  sshConfig: string;
  /** Adds a host to that file: this server under another name, with other or further settings. */
  addHost(name: string, settings?: Readonly<Record<string, string | number>>): Promise<void>;
  /** the directory that all its files are in, and that goes when it stops */
  directory: string;
  /** process id of the listening sshd; another one after `down` and `up` */
  pid(): number;
  /** all it has said on stderr */
  log(): string;
  /** ids of the processes that serve connections */
  sessions(): number[];
  /** Kills every session; the server goes on listening. */
  dropSessions(): void;
  /** Stops its sessions in their tracks, and not the server: new ones are taken. They stay so until they are dropped. */
  freezeSessions(): void;
  /** Kills the sessions that were frozen. */
  dropFrozenSessions(): void;
  /** Stops the server and its sessions in their tracks: connections stand, and nothing answers. */
  freeze(): void;
  thaw(): void;
  /** Kills the server and its sessions; the port is refused then. */
  down(): Promise<void>;
  /** Starts it again, on the same port with the same keys. */
  up(): Promise<void>;
  /** Kills all of it and removes its files. For `onTestFinished` or `afterAll`; a second time is no error. */
  stop(): Promise<void>;
}

/**
 * Starts a server that the current user can log in to, as root or as anybody.
 * @throws Error when openssh-server is missing, refuses the configuration, or does not answer within 10 s
 */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  if (options.openSsh === undefined && !existsSync(SSHD))
    throw new Error(`openssh-server is not installed: there is no ${SSHD} (it need not run, only be there)`);
  // Where sshd as root wants to be able to lock itself in; made at boot where it is a service.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const directory = await tempDir();
  try {
    return await startIn(directory.path, options, () => directory.remove());
  } catch (error) {
    await directory.remove();
    throw error;
  }
}

async function startIn(directory: string, options: SshdOptions, remove: () => Promise<void>): Promise<Sshd> {
  const { hostKeyTypes = ["ed25519"], authorizedKeys = (key: string) => [key], network } = options;
  const host = network?.address ?? "127.0.0.1";
  const user = userInfo().username;
  const [identity, ...hostKeys] = await Promise.all([
    makeKey(join(directory, "id_ed25519"), "ed25519"),
    ...hostKeyTypes.map((type) => makeKey(join(directory, `host_${type}`), type)),
  ]);
  await options.prepare?.(directory);
  const { certify } = options;
  const certificates = certify === undefined ? [] : await Promise.all(hostKeys.map((key) => certify(key)));
  const { sshd: program = SSHD, config: needed = [] } = options.openSsh ?? {};
  const config = [
    ...needed,
    ...certificates.map((path) => `HostCertificate ${path}`),
    ...linesOf(options.config, directory),
  ];
  await writeFile(join(directory, "authorized_keys"), lines(authorizedKeys(identity.publicKey)));
  const server = new Server(directory, {
    program,
    address: host,
    within: network?.within ?? [],
    config: (port) => serverConfig({ directory, hostKeys, port, host }, config),
  });
  const port = await server.start();

  const hostKeyLines = hostKeys.map((key) => `[${host}]:${port} ${key.publicKey}`);
  const knownHosts = join(directory, "known_hosts");
  await writeFile(knownHosts, lines(hostKeyLines));
  const sshConfig = new SshConfig(join(directory, "ssh_config"), {
    HostName: host,
    Port: port,
    User: user,
    IdentityFile: identity.path,
    IdentitiesOnly: "yes",
    IdentityAgent: "none",
    UserKnownHostsFile: knownHosts,
    GlobalKnownHostsFile: "/dev/null",
  });
  const addHost = (name: string, settings = {}) => sshConfig.add(name, settings);
  await addHost("testhost");

  return {
    host,
    port,
    user,
    identity: identity.path,
    hostKeys,
    hostKeyLines,
    knownHosts,
    sshConfig: sshConfig.path,
    addHost,
    directory,
    pid: () => server.pid,
    log: () => server.log(),
    sessions: () => descendants(server.pid),
    dropSessions: () => server.killSessions(),
    freezeSessions: () => server.freezeSessions(),
    dropFrozenSessions: () => server.dropFrozenSessions(),
    freeze: () => server.signalAll("SIGSTOP"),
    thaw: () => server.signalAll("SIGCONT"),
    down: () => server.kill(),
    up: async () => void (await server.start(port)),
    async stop() {
      await server.kill();
      await remove();
    },
  };
}

const linesOf = (config: SshdOptions["config"] = [], directory: string): readonly string[] =>
  typeof config === "function" ? config(directory) : config;

/** Where a server is, and how it is configured for a port. */
interface Place {
  /** path of its sshd */
  program: string;
  address: string;
  /** what starts a program there; nothing for this machine's own network */
  within: readonly string[];
  config: (port: number) => string[];
}

/** The listening process: started, found to answer, killed with its sessions. */
class Server {
  readonly #configFile: string;
  readonly #directory: string;
  readonly #place: Place;
  #process: Background | undefined;
  #earlierLog = "";
  #frozen: number[] = [];

  constructor(directory: string, place: Place) {
    this.#directory = directory;
    this.#configFile = join(directory, "sshd_config");
    this.#place = place;
  }

  get pid(): number {
    if (this.#process === undefined) throw new Error("sshd is down");
    return this.#process.pid;
  }

  log(): string {
    return this.#earlierLog + (this.#process?.log() ?? "");
  }

  /** Gives the port that it answers on: `fixed`, or one of its choice. */
  async start(fixed?: number): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      const port = fixed ?? (await freePort());
      await writeFile(this.#configFile, lines(this.#place.config(port)));
      const penalties = await this.#penaltiesOff();
      const args = ["-D", "-e", "-f", this.#configFile, ...penalties];
      const sshd = this.#place.program;
      const [program = sshd, ...rest] = [...this.#place.within, sshd, ...args];
      this.#process = await startInBackground(program, rest, { env: process.env, cwd: this.#directory });
      try {
        await this.#answers(port);
        return port;
      } catch (error) {
        const said = this.log();
        await this.kill();
        // Between our choice and its bind somebody else can have taken the port.
        const taken = fixed === undefined && said.includes("Address already in use");
        if (!taken || attempt === 5) throw new Error(`sshd did not come up: ${said}`, { cause: error });
      }
    }
  }

  // Since OpenSSH 9.8 sshd locks out addresses whose connections end without a login: our probes, and half our tests. What a
  // test says of it itself counts.
  async #penaltiesOff(): Promise<string[]> {
    const said = await readFile(this.#configFile, "utf8");
    if (/^PerSourcePenalties/im.test(said)) return [];
    const option = ["-o", "PerSourcePenalties=no"];
    const check = ["-t", "-f", this.#configFile];
    const { program } = this.#place;
    if ((await run(program, [...check, ...option])).code === 0) return option;
    const { code, stderr } = await run(program, check);
    if (code !== 0) throw new Error(`sshd refuses its configuration: ${stderr}`);
    return [];
  }

  async #answers(port: number): Promise<void> {
    const started = this.#process;
    let gone: Error | undefined;
    await eventually(async () => {
      gone = started?.ended() ? new Error("sshd ended") : undefined;
      // In another network it cannot be greeted from here: what it says below has to do.
      if (gone === undefined && this.#place.within.length === 0) await greeting(port);
    });
    if (gone !== undefined) throw gone;
    // Somebody else's sshd may have taken the port and greeted us, and ours may be about to end.
    await eventually(() => {
      if (started?.ended()) throw new Error("sshd ended");
      if (!this.log().includes(`Server listening on ${this.#place.address} port ${port}`))
        throw new Error("not listening");
    });
  }

  killSessions(): void {
    signal(this.pid, "SIGSTOP"); // or a client that comes back at once would be dropped again
    killDescendants(this.pid);
    signal(this.pid, "SIGCONT");
  }

  freezeSessions(): void {
    this.#frozen = descendants(this.pid);
    for (const pid of this.#frozen) signal(pid, "SIGSTOP");
  }

  dropFrozenSessions(): void {
    for (const pid of this.#frozen) signal(pid, "SIGKILL");
    this.#frozen = [];
  }

  signalAll(name: NodeJS.Signals): void {
    for (const pid of [this.pid, ...descendants(this.pid)]) signal(pid, name);
  }

  async kill(): Promise<void> {
    const server = this.#process;
    if (server === undefined) return;
    this.#process = undefined;
    if (!server.ended()) {
      server.kill("SIGSTOP"); // it starts no further sessions
      killDescendants(server.pid);
      server.kill("SIGKILL");
    }
    await server.end;
    this.#earlierLog += server.log();
  }
}

const lines = (list: readonly string[]): string => list.map((line) => `${line}\n`).join("");
