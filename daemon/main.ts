// tund: assembles config, log, registry, api and control socket; signals. Nothing else.
// For what they do, and before all else: what comes after them is what they are about.
// oxlint-disable import/no-unassigned-import
import "./small-start.ts";
// oxlint-enable import/no-unassigned-import
import { realpathSync } from "node:fs";
import type { Socket } from "node:net";
import { isatty } from "node:tty";
import { dirname, join, resolve } from "node:path";
import { ownAccount } from "../shared/account.ts";
import { systemClock } from "../shared/clock.ts";
import { messageOf } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import type { Finding } from "../shared/logins.ts";
import { makeDirectory } from "../shared/make-directory.ts";
import { version } from "../shared/version.ts";
import { visibleLine } from "../shared/visible.ts";
import { type Config, loadConfig, muxDirectory, systemdVariables } from "./config.ts";
import { listenForControl } from "./control-socket.ts";
import { descriptorLimit, Descriptors } from "./descriptors.ts";
import { doorkeeper, isOwnPeer } from "./doorkeeper.ts";
import { EndedBy } from "./ended-by.ts";
import { inHand, logFatal } from "./fatal.ts";
import { letGoOfHungUp } from "./hangup.ts";
import { helpText } from "./help.ts";
import { createLog, type Logging, sayOnStderr } from "./log.ts";
import { makeApi } from "./make-api.ts";
import { exitWhenIdle, idleExitMs } from "./masters/idle-exit.ts";
import type { Registry } from "./masters/registry.ts";
import { makeRegistry } from "./make-registry.ts";
import { CurrentHost } from "./ssh/current-host.ts";
import { Kems } from "./ssh/kex/kems.ts";
import { Worker } from "./ssh/kex/worker-process.ts";
import { KeyRing } from "./ssh/key-ring.ts";
import { isKeptWaiting, makeOutside, type Outside } from "./ssh/outside.ts";
import { SshQueries } from "./ssh/ssh-queries.ts";
import { Children } from "./ssh/children.ts";
import { assertSsh2, nativeCrypto } from "./ssh/ssh2/internals.ts";
import { metricsWhenAsked } from "./metrics.ts";
import { parseMetricsAddress, serveMetrics } from "./metrics-listener.ts";
import { describeNetwork, watchNetwork } from "./network-watch.ts";
import { orphanReaper } from "./orphans.ts";
import { loadNative, type Native, nativeFile } from "../shared/native/load.ts";
import { Service } from "./systemd/service.ts";
import { usedMs, watchMemory } from "./memory-watch.ts";
import { Store } from "./store.ts";
import { startThreadPool } from "./thread-pool.ts";
import type { PlacedSocket } from "./unix-socket.ts";

const DRAIN_MS = 5000;
// Longer than a thread that can come back takes.
const EXIT_MS = 1000;
const clock = systemClock;

/** What has to be done before the process ends, as far as it has come. */
interface Ending {
  native: Native | null;
  logging: Logging | null;
  outside: Outside | null;
}

async function main(ending: Ending): Promise<void> {
  const argv = process.argv.slice(2);
  const idleMs = idleExitMs(argv);
  if (argv[0] !== undefined && idleMs === null) return answer(argv[0]);
  const { config, native, logging, outside } = await prepare();
  Object.assign(ending, { native, logging, outside });
  const { log } = logging;
  const current = new CurrentHost(clock);
  const suspects = new EndedBy(config.stateDir, () => clock.now(), log);
  onFatal(ending, { current, suspects, log }, () => inHand(registry)); // before there is one, there is nothing in hand
  const service = new Service({ ...config.systemd, native, clock, log });
  const descriptors = new Descriptors(descriptorLimit(), log);
  const mayEnter = doorkeeper(native, log);
  const admits = (socket: Socket): boolean => descriptors.admits(socket);
  const store = new Store(config.stateDir, log);
  const keyRing = makeKeyRing(config, outside, log);
  const queries = new SshQueries({ ...outside, home: homeOf(config), clock });
  const own = { store, keyRing, queries, current, suspects, clock, log };
  const registry = makeRegistry(config, { ...outside, ...own, keeper: service.listeners, mayEnter, admits });
  const health = () => ({ log: logging.health(), descriptors: descriptors.use });
  const metrics = metricsWhenAsked(version, registry.measures, health, outside.slices);
  const address = config.metricsListen === null ? null : parseMetricsAddress(config.metricsListen);
  // Only who holds the control socket may touch the state, and nobody is answered before it is read.
  const isLast = (control: Socket): boolean => descriptors.isLast(control);
  const isOwn = (control: Socket): boolean => isOwnPeer(native, control);
  const is = { isNative: native !== null, isGiven: service.controlSocket !== undefined, isOwn };
  const behind = { registry, metrics, ...is, health, isLast, slices: outside.slices, clock, log };
  const { app, restored, around } = makeApi(config, behind);
  await app.ready();
  app.server.on("connection", mayEnter);
  const socket = await listenForControl(app.server, config.socket, service.controlSocket, log);
  const unlock = await claimState(store, socket);
  const served = address && (await serveMetrics(address, metrics, { log, admits }));
  await suspects.load();
  registry.restore(await store.load());
  for (const host of config.connect) registry.keep(host);
  restored();
  service.ready(registry);
  log.info({ socket: socket.path, pid: process.pid, version }, "tund is ready");
  void warnOf(around, log);
  const watches = watchMachine(registry, native, log);
  onReload(service, registry, log);
  const stop = async (why: object) => {
    log.info(why, "stopping: no new connections; established ones have 5 s");
    service.stopping(registry);
    for (const watch of watches) watch.stop();
    served?.close();
    await registry.close(DRAIN_MS);
    keyRing.close();
    outside.kems.close();
    queries.end();
    unlock();
    socket.release();
    await app.close();
    log.info({}, "stopped");
    leave(0, ending);
  };
  const exit = onSignals(stop, ending);
  if (idleMs !== null) exitWhenIdle({ registry, server: app.server, afterMs: idleMs, clock, exit });
}

// Whose ~/.ssh/config ssh reads: it asks passwd(5).
const homeOf = ({ person }: Config): string => ownAccount()?.homedir ?? person.home;

// Everything that is before the first object of the daemon's own.
async function prepare() {
  const threads = startThreadPool(process.env);
  assertSsh2();
  process.umask(0o077); // what it makes is its user's alone, sockets from their first instant
  process.on("SIGHUP", () => undefined); // a terminal that hangs up does not end tund, however early
  const config = loadConfig(process.env, isatty(2));
  for (const name of systemdVariables) delete process.env[name];
  const native = loadNative(besideUs(nativeFile(process.platform, process.arch)));
  native?.ignoreTerminalStops();
  const logging = await createLog(config, { native, clock });
  onWarnings(logging.log);
  for (const line of config.passedOver) logging.log.warn({}, line);
  const children = startsChildren(native);
  const kems = makeKems(config, children, logging.log);
  return { config, native, logging, outside: makeOutside({ children, kems }, clock, threads) };
}

function makeKems({ person: { env } }: Config, children: Children, log: Log): Kems {
  const worker = new Worker({ script: besideUs("kem-worker.cjs"), env, children, clock });
  return new Kems({ worker, log });
}

const watchMachine = (registry: Registry, native: Native | null, log: Log) => [
  verifyWithNetwork(registry, log),
  watchMemory({ clock, processorMs: usedMs, giveBack: () => native?.trimMemory() }),
];

const verifyWithNetwork = (registry: Registry, log: Log) =>
  watchNetwork({
    clock,
    look: describeNetwork,
    onChange: (what) => {
      log.info({}, `${what}: asking every link for a sign of life`);
      registry.verifyLinks();
    },
  });

const onReload = (service: Service, registry: Registry, log: Log): void =>
  void process.on("SIGHUP", () => {
    log.info({}, "reloading: hosts without a link are dialled as ssh_config is now");
    service.reloading();
    registry.redial();
    service.reloaded(registry);
  });

function startsChildren(native: Native | null): Children {
  const children = new Children(native, process.env);
  process.on("SIGCHLD", () => children.reap());
  if (process.pid === 1) process.on("SIGCHLD", orphanReaper(children, clock));
  return children;
}

const besideUs = (file: string): string => join(dirname(realpathSync(process.argv[1] ?? "")), file);

async function claimState(store: Store, socket: PlacedSocket): Promise<() => void> {
  try {
    const unlock = await store.claim();
    await makeDirectory(muxDirectory(socket.path), 0o700);
    return unlock;
  } catch (error) {
    socket.release();
    throw error;
  }
}

const makeKeyRing = (
  { socket, person: { env } }: Config,
  { children, files }: Outside,
  log: Log,
): KeyRing => {
  const agent = {
    directory: `${resolve(socket)}.agent`,
    askpass: besideUs("askpass.sh"),
    env,
    children,
    clock,
  };
  return new KeyRing({ ...agent, parser: besideUs("key-parser.cjs"), files, log });
};

// The first signal asks for an orderly end, which what is given does too; a second one means it.
function onSignals(stop: (why: object) => Promise<void>, ending: Ending): (why: object) => void {
  let stopping = false;
  const begin = (why: object): void => {
    stopping = true;
    stop(why).catch((error: unknown) => {
      ending.logging?.log.error({ err: error }, "cannot stop in order");
      leave(1, ending);
    });
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => {
      if (stopping) leave(signal === "SIGINT" ? 130 : 143, ending);
      begin({ signal });
    });
  return (why) => (stopping ? undefined : begin(why));
}

interface Blaming {
  current: CurrentHost;
  suspects: EndedBy;
  log: Log;
}

// A daemon in an unknown state must not go on; what brought it there is in the log, and whose turn it was on disk.
function onFatal(ending: Ending, { current, suspects, log }: Blaming, hand: () => object): void {
  process.on("uncaughtException", (error, origin) => {
    const hosts = current.namesFor(error);
    suspects.record(hosts);
    logFatal(log, error, { origin, hosts, inHand: hand });
    leave(1, ending);
  });
}

// What would otherwise be found out by the first host that is connected, or never.
async function warnOf(around: () => Promise<Finding[]>, log: Log): Promise<void> {
  if (!nativeCrypto())
    log.warn(
      {},
      "ssh2's compiled ciphers are missing: forwards will cost about twice the CPU; tunctl doctor says what to do",
    );
  for (const { level, message, next } of await around())
    if (level === "problem") log.warn({}, `${message}: ${next}`);
}

// Node writes them to stderr itself, and waits for whoever reads it.
function onWarnings(log: Log): void {
  process.removeAllListeners("warning");
  process.on("warning", (warning) => log.warn({ err: warning }, warning.message));
}

// What is left of the log is tried once. Node's own exit waits for threads, and so for a disk that is away: no longer than that.
function leave(code: number, { native, logging, outside }: Ending): never {
  native?.exitWithin(EXIT_MS, code); // first: what is next may wait for a disk too
  logging?.flush();
  letGoOfHungUp();
  if (native === null && outside !== null && isKeptWaiting(outside)) process.kill(process.pid, "SIGKILL");
  process.exit(code);
}

function answer(argument: string): void {
  if (argument === "--help" || argument === "-h") process.stdout.write(helpText);
  else if (argument === "--version" || argument === "-V") process.stdout.write(`tund ${version}\n`);
  else {
    process.stderr.write(
      `tund: unknown argument '${visibleLine(argument)}': it takes none; see tund --help\n`,
    );
    process.exitCode = 2;
  }
}

const ending: Ending = { native: null, logging: null, outside: null };
main(ending).catch((error: unknown) => {
  ending.logging?.flush();
  sayOnStderr(`tund: ${visibleLine(messageOf(error))}\n`);
  leave(1, ending);
});
