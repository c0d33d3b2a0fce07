// Clients that use a few host names of one server at once, while ssh_config changes and sessions are killed.
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "../../cli/client.ts";
import { TundError } from "../../shared/errors.ts";
import type { ForwardKind } from "../../shared/forward-spec.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import { atPath } from "../support/at-path.ts";
import { freePort } from "../support/free-port.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";
import type { Random } from "./random.ts";

/** `one` and `alias` are one connection as long as nobody says otherwise, the others are not; `behind` is reached by way of `one`. */
export const NAMES = ["one", "alias", "twin", "other", "behind"] as const;
type Name = (typeof NAMES)[number];

type Settings = Readonly<Record<string, string | number>>;

const OWN: Record<Name, Settings> = {
  one: {},
  alias: {},
  twin: { ServerAliveInterval: 23 },
  other: { Compression: "yes" },
  behind: { ProxyJump: "one" },
};
/** What ssh_config may come to say of a host: nothing, what makes it another connection, and what leads nowhere. */
const changes = (nowhere: number): readonly Settings[] => [
  {},
  {},
  { ServerAliveInterval: 17 },
  { ServerAliveInterval: 23 },
  { Compression: "yes" },
  { User: "nobody-at-all" },
  { Port: nowhere },
  { NoSuchKeyword: "yes" },
];

// A login takes so long, and an answer of ssh's a tenth of that: whoever goes away may do so at any moment of it.
const MOST_PATIENCE_MS = [5, 20, 60, 150];

interface Ports {
  here: readonly number[];
  nowhere: number;
}

const START_MS = 60_000; // its hosts are dialled meanwhile, and the machine may be busy

/** A daemon and its server. */
export class Crossing {
  readonly #sshd: Sshd;
  readonly #home: TempDir;
  readonly #config: string;
  readonly #ports: Ports;
  #tund: Tund;
  #versions = 0;
  #asked: string[] = [];

  constructor(sshd: Sshd, home: TempDir, tund: Tund, ports: Ports) {
    this.#sshd = sshd;
    this.#home = home;
    this.#config = join(home.path, "ssh_config");
    this.#ports = ports;
    this.#tund = tund;
  }

  static async start(): Promise<Crossing> {
    const [sshd, home] = await Promise.all([startSshd(), tempDir()]);
    const ports = { here: [await freePort(), await freePort()], nowhere: await freePort() };
    const world = new Crossing(sshd, home, await startTund({ home: home.path, deadlineMs: START_MS }), ports);
    await world.configure();
    return world;
  }

  async stop(): Promise<void> {
    await this.#tund.stop();
    await this.#sshd.stop();
    await this.#home.remove();
  }

  /** Another daemon follows. @param forgets whether it begins with nothing */
  async restart(signal: NodeJS.Signals, forgets = false): Promise<void> {
    this.#asked.push(signal);
    await this.#tund.stop(signal);
    if (forgets) await rm(join(this.#home.path, "state"), { recursive: true, force: true });
    this.#tund = await startTund({ home: this.#home.path, deadlineMs: START_MS });
  }

  /** What was asked since this was called last, and what came of it. */
  told(): string {
    const told = this.#asked.join("\n");
    this.#asked = [];
    return told;
  }

  get client(): Client {
    return new Client(atPath(this.#tund.socket));
  }

  /** Has ssh_config say this of hosts, and nothing else; it is never half written. */
  async configure(settings: ReadonlyMap<Name, Settings> = new Map()): Promise<void> {
    const { host: HostName, port: Port, user: User, identity: IdentityFile, knownHosts } = this.#sshd;
    const common = { HostName, Port, User, IdentityFile, IdentitiesOnly: "yes", IdentityAgent: "none" };
    const files = { UserKnownHostsFile: knownHosts, GlobalKnownHostsFile: "/dev/null" };
    const blocks = NAMES.map((name) => {
      const all = { ...common, ...files, ...OWN[name], ...settings.get(name) };
      return [`Host ${name}`, ...Object.entries(all).map(([key, value]) => `  ${key} ${value}`)].join("\n");
    });
    const fresh = `${this.#config}.${this.#versions++}`;
    await writeFile(fresh, `${blocks.join("\n")}\n`);
    await rename(fresh, this.#config);
  }

  /** Says so many things, one after the other; of some the answer is not waited for. Gives how many were asked. */
  async talk(random: Random, commands: number): Promise<number> {
    const unheard: Promise<void>[] = [];
    for (let said = 0; said < commands; said++) {
      await this.#disturb(random);
      const asked = this.#ask(random);
      if (random.oneIn(3)) unheard.push(asked);
      else await asked;
    }
    await Promise.all(unheard);
    return commands;
  }

  /** Asks for one thing. @throws TundError as the daemon said it */
  async ask<T>(what: string, act: (client: Client) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#asked.push(`> ${what}${signal === undefined ? "" : ", and goes away"}`);
    try {
      const answer = await act(new Client(atPath(this.#tund.socket), signal && { signal }));
      this.#asked.push(`< ${what}: done`);
      return answer;
    } catch (error) {
      this.#asked.push(`< ${what}: ${error instanceof TundError ? error.message : String(error)}`);
      throw error;
    }
  }

  async #disturb(random: Random): Promise<void> {
    if (random.oneIn(12)) {
      const chosen = NAMES.filter(() => random.oneIn(3)).map(
        (name) => [name, random.pick(changes(this.#ports.nowhere))] as const,
      );
      this.#asked.push(`ssh_config: ${JSON.stringify(chosen)}`);
      await this.configure(new Map(chosen));
    }
    if (random.oneIn(30)) {
      this.#asked.push("sessions are killed");
      this.#sshd.dropSessions();
    }
    if (random.oneIn(40)) {
      this.#asked.push("SIGHUP");
      process.kill(this.#tund.pid, "SIGHUP");
    }
    if (random.oneIn(8)) await sleep(random.below(60));
  }

  async #ask(random: Random): Promise<void> {
    const { what, act } = this.#command(random);
    const signal = random.oneIn(3)
      ? AbortSignal.timeout(1 + random.below(random.pick(MOST_PATIENCE_MS)))
      : undefined;
    // Why not is as good an answer as any, but for one.
    await this.ask(what, act, signal).catch((error: unknown) => {
      if (error instanceof TundError && error.code === "INTERNAL") throw error;
    });
  }

  #command(random: Random): { what: string; act: (client: Client) => Promise<unknown> } {
    const host = random.pick(NAMES);
    const params = { host };
    const connection = this.#options(random);
    const given = connection && { connection };
    const said = `${host} ${JSON.stringify(connection ?? {})}`;
    const { spec, ...wishes } = this.#forward(random);
    const forwards = [spec];
    const destination = `127.0.0.1:${this.#sshd.port}`;
    const connect = (client: Client) => client.call("connectMaster", { params, body: { ...given } });
    const exit = (client: Client) => client.call("exitMaster", { params });
    const forward = (client: Client) =>
      client.call("openForwards", { body: { host, forwards, ...given, ...wishes } });
    const choices: [string, (client: Client) => Promise<unknown>][] = [
      [`connect ${said}`, connect],
      [`connect ${said}`, connect],
      [`connect ${said}`, connect],
      [`exit ${host}`, exit],
      [`exit ${host}`, exit],
      [`exit ${host}`, exit],
      [`stop ${host}`, (client) => client.call("stopMaster", { params })],
      [`reconnect ${host}`, (client) => client.call("reconnectMaster", { params })],
      [`reconnect ${host}`, (client) => client.call("reconnectMaster", { params })],
      [`forward ${JSON.stringify({ spec, ...wishes })} ${said}`, forward],
      [`forward ${JSON.stringify({ spec, ...wishes })} ${said}`, forward],
      [
        `cancel ${spec.spec} ${host}`,
        (client) => client.call("cancelForwards", { body: { host, forwards } }),
      ],
      [`cancel --all ${host}`, (client) => client.call("cancelForwards", { body: { host, all: true } })],
      [`stdio ${said}`, (client) => client.call("openStdio", { body: { host, destination, ...given } })],
    ];
    const [what, act] = random.pick(choices);
    return { what, act };
  }

  #options(random: Random): ConnectionOptions | undefined {
    if (!random.oneIn(3)) return undefined;
    const { port, user, identity } = this.#sshd;
    return random.pick<ConnectionOptions>([
      { options: ["ServerAliveInterval=23"] },
      { options: ["ExitOnForwardFailure=yes"] },
      { options: ["Compression=yes"] },
      { port },
      { port: this.#ports.nowhere },
      { user },
      { identityFiles: [identity] },
    ]);
  }

  #forward(random: Random) {
    const kind = random.pick<ForwardKind>(["local", "remote", "dynamic"]);
    const port = random.pick([...this.#ports.here, 0]);
    return {
      spec: { kind, spec: kind === "dynamic" ? `${port}` : `${port}:127.0.0.1:${this.#sshd.port}` },
      ...(random.oneIn(2) && { ephemeral: true }),
      ...(random.oneIn(4) && { wait: false }),
      ...(random.oneIn(5) && { onDemand: true, idleSeconds: 1 }),
    };
  }
}
