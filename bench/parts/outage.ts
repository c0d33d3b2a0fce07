// An outage: sixty hosts are gone at once, and come back one after the other; beside tund, autossh with an ssh for each.
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { missingPrograms } from "../../daemon/programs.ts";
import { fingerprint } from "../../daemon/ssh/host-key.ts";
import { type Background, startInBackground } from "../../test/support/background.ts";
import { startTund } from "../../test/support/daemon.ts";
import { eventually } from "../../test/support/eventually.ts";
import { killDescendants } from "../../test/support/process-tree.ts";
import { type Key, makeKey } from "../../test/support/ssh-key.ts";
import { SshConfig } from "../../test/support/ssh-config.ts";
import { tempDir } from "../../test/support/temp-dir.ts";
import type { Bench, Part } from "../bench.ts";
import { median, type Measure, type Owner } from "../measures.ts";
import { makeNetworks } from "../outage/networks.ts";
import { makeServer, PORT, prepare, type Rooms, type Server } from "../outage/servers.ts";

const HOSTS = 60;
const BLACK_HOLES = 4;
const FLAPPING = 5;
const BACK_OVER_MS = 30_000;
// They come for so long, and are gone for as long: a host is back when its port answers and stays for 15 s.
const FLAP_MS = 3000;
// A link that has held for less counts as a failed attempt.
const WELL_MS = 15_000;
const MOST_MS = 180_000;
const AT_ONCE = 5;

const seconds = (name: string, title: string, most?: number): Measure => ({
  name: `outage.${name}`,
  title,
  unit: "s",
  digits: 1,
  better: "less",
  beside: "autossh",
  ...(most !== undefined && { mark: { of: "value", most } }),
});

const measures: readonly Measure[] = [
  seconds("median", "a host's return, until it is logged in to: the median of the hosts", 5),
  seconds("worst", "the same: the worst of them", 15),
  seconds("all", "the outage's beginning, until all that are back are logged in to"),
];

type Owners = Exclude<Owner, "alone">;

interface Stage extends Rooms {
  bench: Bench;
  servers: readonly Server[];
  own: Readonly<Record<Owners, Key>>;
  config: Readonly<Record<Owners, string>>;
}

const hostOf = (index: number): string => `host${index}`;

/** The first are black holes, the next ones flap, and all others come back one after the other. */
const isBlackHole = (index: number): boolean => index < BLACK_HOLES;
const isFlapping = (index: number): boolean => !isBlackHole(index) && index < BLACK_HOLES + FLAPPING;
const backAfterMs = (index: number): number =>
  isFlapping(index)
    ? BACK_OVER_MS
    : ((index - BLACK_HOLES - FLAPPING + 1) / (HOSTS - BLACK_HOLES - FLAPPING)) * BACK_OVER_MS;

async function configFor(
  rooms: Rooms,
  name: string,
  key: Key,
  knownHosts: string,
  servers: readonly Server[],
) {
  const config = new SshConfig(join(rooms.directory, `ssh_config-${name}`), {
    Port: PORT,
    User: userInfo().username,
    IdentityFile: key.path,
    IdentitiesOnly: "yes",
    IdentityAgent: "none",
    UserKnownHostsFile: knownHosts,
    GlobalKnownHostsFile: "/dev/null",
    ServerAliveInterval: 15,
    ServerAliveCountMax: 3,
  });
  for (const [index, { address }] of servers.entries())
    await config.add(hostOf(index), { HostName: address });
  return config.path;
}

/** Settles when all of these have been logged in to since then by the owner of a key; gives when, for each. */
async function loginsSince(
  since: ReadonlyMap<Server, number>,
  key: Key,
  signal: AbortSignal,
): Promise<Map<Server, number>> {
  const own = fingerprint(key.blob);
  const found = new Map<Server, number>();
  await eventually(
    () => {
      signal.throwIfAborted();
      for (const [server, moment] of since) {
        const login = server.logins.find(({ at, fingerprint: by }) => at >= moment && by === own);
        if (login !== undefined) found.set(server, login.at);
      }
      if (found.size < since.size) throw new Error(`${since.size - found.size} hosts are not logged in to`);
    },
    { deadlineMs: MOST_MS },
  );
  return found;
}

async function startAutossh({
  networks,
  config,
  directory,
  bench,
}: Stage): Promise<{ stop: () => Promise<void> }> {
  const all: Background[] = [];
  const [missing] = await missingPrograms(process.env, ["autossh"]);
  const loop = 'while :; do ssh "$@"; sleep 1; done';
  if (missing !== undefined)
    bench.note("outage: autossh is not installed: a loop of `ssh -N` stands in, with 1 s between");
  const command = missing === undefined ? ["autossh", "-M", "0"] : ["sh", "-c", loop, "ssh"];
  for (let index = 0; index < HOSTS; index++) {
    const args = [...command, "-N", "-F", config.beside, "-o", "ExitOnForwardFailure=yes", hostOf(index)];
    const [program = "", ...rest] = [...networks.near, ...args];
    const env = { ...process.env, AUTOSSH_GATETIME: "0" };
    all.push(await startInBackground(program, rest, { env, cwd: directory }));
    if (index % AT_ONCE === 0) await sleep(200);
  }
  const stop = async () => {
    for (const one of all) {
      one.kill("SIGSTOP");
      killDescendants(one.pid);
      one.kill("SIGKILL");
    }
    await Promise.all(all.map(({ end }) => end));
  };
  return { stop };
}

async function startAll(stage: Stage): Promise<{ stop: () => Promise<void> }> {
  const tund = await startTund({ within: stage.networks.near, env: { TUND_SSH_CONFIG: stage.config.tund } });
  try {
    const hosts = Array.from({ length: HOSTS }, (_, index) => hostOf(index));
    const connectSome = async () => {
      for (let host = hosts.pop(); host !== undefined; host = hosts.pop()) {
        const { code, stderr } = await tund.tunctl(["connect", host]);
        if (code !== 0) throw new Error(stderr);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, connectSome));
    const autossh = await startAutossh(stage);
    const stop = async () => {
      await autossh.stop();
      await tund.stop();
    };
    return { stop };
  } catch (error) {
    await tund.stop();
    throw error;
  }
}

async function comeBack(server: Server, index: number, since: Map<Server, number>): Promise<void> {
  const began = performance.now();
  const left = () => backAfterMs(index) - (performance.now() - began);
  while (isFlapping(index) && left() > FLAP_MS) {
    await sleep(FLAP_MS);
    await server.up();
    await sleep(FLAP_MS);
    await server.down();
  }
  await sleep(Math.max(0, left()));
  // From its start: who is quick is in before we know that its port answers.
  const started = performance.now();
  await server.up();
  since.set(server, started);
}

/** All are gone at once, and come back over half a minute. */
async function goAway({ bench, networks, servers, own }: Stage): Promise<void> {
  const began = performance.now();
  for (const { address } of servers.filter((_, index) => isBlackHole(index))) await networks.swallow(address);
  const others = [...servers.entries()].filter(([index]) => !isBlackHole(index));
  await Promise.all(others.map(([, server]) => server.down()));
  const since = new Map<Server, number>();
  await Promise.all(others.map(([index, server]) => comeBack(server, index, since)));
  for (const owner of ["tund", "beside"] as const) {
    const found = await loginsSince(since, own[owner], bench.interrupted);
    const took = [...found].map(([server, at]) => (at - (since.get(server) ?? at)) / 1000);
    bench.record("outage.median", owner, median(took));
    bench.record("outage.worst", owner, Math.max(...took));
    bench.record("outage.all", owner, (Math.max(...found.values()) - began) / 1000);
  }
}

async function once(bench: Bench, rooms: Omit<Rooms, "keys">): Promise<void> {
  const key = (name: string) => makeKey(join(rooms.directory, name), "ed25519");
  const own = { tund: await key("tund"), beside: await key("autossh") };
  const whole = { ...rooms, keys: [own.tund, own.beside] };
  const prepared = await prepare(whole);
  const servers = Array.from({ length: HOSTS }, (_, index) => makeServer(index, whole, prepared));
  const config = {
    tund: await configFor(whole, "tund", own.tund, prepared.knownHosts, servers),
    beside: await configFor(whole, "autossh", own.beside, prepared.knownHosts, servers),
  };
  const stage: Stage = { ...whole, bench, servers, own, config };
  try {
    for (const server of servers) await server.up();
    const clients = await startAll(stage);
    try {
      const always = new Map(servers.map((server) => [server, 0]));
      for (const mine of [own.tund, own.beside]) await loginsSince(always, mine, bench.interrupted);
      await sleep(WELL_MS);
      await goAway(stage);
    } finally {
      await clients.stop();
    }
  } finally {
    await Promise.all(servers.map((server) => server.down()));
  }
}

async function run(bench: Bench): Promise<void> {
  for (let round = 0; round < bench.rounds; round++) {
    const [place, networks] = [await tempDir(), await makeNetworks(HOSTS)];
    try {
      await once(bench, { directory: place.path, networks });
    } finally {
      await networks.end();
      await place.remove();
    }
  }
}

/** What autossh and tund make of an outage. */
export const outage: Part = {
  name: "outage",
  title: `An outage: ${HOSTS} hosts gone at once, and back over ${BACK_OVER_MS / 1000} s (${FLAPPING} of them flapping, ${BLACK_HOLES} silent for good)`,
  measures,
  run,
};
