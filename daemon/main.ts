// tund: assembles config, log, registry, api and control socket; signals. Nothing else.
// For what they do, and before all else: what comes after them is what they are about.
// oxlint-disable import/no-unassigned-import
import "./small-start.ts";
import "./ssh/ssh2/poly1305-stub.ts";
// oxlint-enable import/no-unassigned-import
import { EventEmitter, once } from "node:events";
import { mkdirSync, realpathSync } from "node:fs";
import type { Server, Socket } from "node:net";
import { dirname, join } from "node:path";
import { systemClock, timestamp } from "../shared/clock.ts";
import { messageOf } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import { version } from "../shared/version.ts";
import { buildServer } from "./api/server.ts";
import { type Config, loadConfig, muxDirectory, systemdVariables } from "./config.ts";
import { claimControlSocket, inheritControlSocket } from "./control-socket.ts";
import { doorkeeper } from "./doorkeeper.ts";
import type { ListenerKeeper } from "./forwards/listener-keeper.ts";
import { keepRoom, letHeapGrow, unleasher } from "./heap.ts";
import { helpText } from "./help.ts";
import { createLog } from "./log.ts";
import { Registry } from "./masters/registry.ts";
import { limited } from "./masters/limit.ts";
import { serveMux } from "./mux/server.ts";
import { hasAesInstructions } from "./ssh/aes.ts";
import { connect } from "./ssh/connect.ts";
import { HostResolver } from "./ssh/host-config.ts";
import { WindowBudget } from "./ssh/receive-window.ts";
import { assertSsh2, nativeCrypto } from "./ssh/ssh2/internals.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { parseMetricsAddress, serveMetrics } from "./metrics-listener.ts";
import { describeNetwork, watchNetwork } from "./network-watch.ts";
import { selfCheck } from "./self-check.ts";
import { loadNative, nativeFile } from "../shared/native/load.ts";
import { Service } from "./systemd/service.ts";
import { watchMemory } from "./memory-watch.ts";
import { Store } from "./store.ts";
import type { PlacedSocket } from "./unix-socket.ts";

const DRAIN_MS = 5000;
// After a long sleep or a restart everything wants its link at once: neither servers nor we gain by that.
const MOST_DIALLING = 32;
const MOST_RESOLVING = 4;
// What stalled readers on far paths may make us hold, beside what each channel begins with.
const WINDOW_BUDGET_BYTES = 128 * 1024 * 1024;
const clock = systemClock;

async function main(): Promise<void> {
  const [argument] = process.argv.slice(2);
  if (argument !== undefined) return answer(argument);
  assertSsh2();
  process.umask(0o077); // what it makes is its user's alone, sockets from their first instant
  const config = loadConfig(process.env, process.stderr.isTTY);
  for (const name of systemdVariables) delete process.env[name];
  const native = loadNative(besideUs(nativeFile(process.platform, process.arch)));
  const log = await createLog(config, native);
  process.on("uncaughtExceptionMonitor", (error) => log.error({ err: error }, "tund cannot go on"));
  const service = new Service({ ...config.systemd, native, clock, log });
  const mayEnter = doorkeeper(native, log);
  const store = new Store(config.stateDir, log);
  const registry = makeRegistry(config, { store, keeper: service.listeners, mayEnter, log });
  let made: Promise<Metrics> | undefined;
  const metrics = () => (made ??= createMetrics(version, () => registry.figures()));
  const metricsAddress = config.metricsListen === null ? null : parseMetricsAddress(config.metricsListen);
  // Only who holds the control socket may touch the state, and nobody is answered before it is read.
  const { app, restored } = makeApi(config, { registry, metrics, isNative: native !== null, log });
  await app.ready();
  app.server.on("connection", mayEnter);
  const socket = await controlSocket(app.server, service, config.socket);
  const unlock = await claimState(store, socket);
  mkdirSync(muxDirectory(socket.path), { recursive: true, mode: 0o700 });
  const served = metricsAddress && (await serveMetrics(metricsAddress, metrics, log));
  registry.restore(await store.load());
  for (const host of config.connect) registry.keep(host);
  restored();
  letHeapGrow(process.versions.v8);
  service.ready(registry);
  log.info({ socket: socket.path, pid: process.pid, version }, "tund is ready");
  if (!nativeCrypto())
    log.warn(
      {},
      "ssh2's compiled ciphers are missing: forwards will cost about twice the CPU; tunctl doctor says what to do",
    );
  const network = verifyWithNetwork(registry, log);
  const memory = watchMemory({ clock, processorMs, keepRoom, giveBack: () => native?.trimMemory() });
  onReload(service, registry, log);
  onSignals(async (signal) => {
    log.info({ signal }, "stopping: no new connections; established ones have 5 s");
    service.stopping(registry);
    network.stop();
    memory.stop();
    served?.close();
    await registry.close(DRAIN_MS);
    unlock();
    socket.release();
    await app.close();
    log.info({}, "stopped");
    process.exit(0);
  }, log);
}

interface Behind {
  registry: Registry;
  metrics: () => Promise<Metrics>;
  isNative: boolean;
  log: Log;
}

function makeApi(config: Config, { registry, metrics, isNative, log }: Behind) {
  const daemon = itself(config.socket);
  const start = new EventEmitter();
  const app = buildServer({
    registry,
    daemon,
    clock,
    metrics,
    selfCheck: () => selfCheck({ ...daemon, stateDir: config.stateDir, isNative }),
    log,
    restored: once(start, "restored"),
  });
  return { app, restored: () => void start.emit("restored") };
}

const controlSocket = (
  server: Server,
  { controlSocket: given }: Service,
  path: string,
): Promise<PlacedSocket> =>
  given === undefined ? claimControlSocket(server, path) : inheritControlSocket(server, given, path);

const verifyWithNetwork = (registry: Registry, log: Log) =>
  watchNetwork({
    clock,
    look: describeNetwork,
    onChange: (what) => {
      log.info({}, `${what}: asking every link for a sign of life`);
      registry.verifyLinks();
    },
  });

const processorMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const onReload = (service: Service, registry: Registry, log: Log): void =>
  void process.on("SIGHUP", () => {
    log.info({}, "reloading: hosts without a link are dialled as ssh_config is now");
    service.reloading();
    registry.redial();
    service.reloaded(registry);
  });

const besideUs = (file: string): string => join(dirname(realpathSync(process.argv[1] ?? "")), file);

const itself = (socket: string) => ({
  version,
  pid: process.pid,
  since: timestamp(clock.now()),
  socket,
  node: process.version,
  nativeCrypto: nativeCrypto(),
});

async function claimState(store: Store, socket: PlacedSocket): Promise<() => void> {
  try {
    return await store.claim();
  } catch (error) {
    socket.release();
    throw error;
  }
}

interface Surroundings {
  store: Store;
  keeper: ListenerKeeper;
  mayEnter: (socket: Socket) => boolean;
  log: Log;
}

function makeRegistry(config: Config, { store, keeper, mayEnter, log }: Surroundings): Registry {
  const { person, sshConfig: configFile, controlPath, keepsMuxForwards: isPersistent } = config;
  const resolver = new HostResolver({ person, configFile, controlPath });
  const windowBudget = new WindowBudget(WINDOW_BUDGET_BYTES);
  const isAesFast = hasAesInstructions();
  const onChannel = unleasher();
  const registry: Registry = new Registry({
    resolve: limited(MOST_RESOLVING, (host, options) => resolver.resolve(host, options)),
    dial: limited(MOST_DIALLING, (attempt) =>
      connect({
        ...attempt,
        clock,
        windowBudget,
        isAesFast,
        onChannel,
        log: log.child({ host: attempt.config.host }),
      }),
    ),
    serveMux: (socket, host) => {
      mayEnter(socket);
      return serveMux(socket, host, { registry, isPersistent, clock, log });
    },
    store,
    keeper,
    parking: config.parking,
    clock,
    random: Math.random,
    pid: process.pid,
    log,
  });
  return registry;
}

// The first signal asks for an orderly end; a second one means it.
function onSignals(stop: (signal: NodeJS.Signals) => Promise<void>, log: Log): void {
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => {
      if (stopping) process.exit(signal === "SIGINT" ? 130 : 143);
      stopping = true;
      stop(signal).catch((error: unknown) => {
        log.error({ err: error }, "cannot stop in order");
        process.exit(1);
      });
    });
}

function answer(argument: string): void {
  if (argument === "--help" || argument === "-h") process.stdout.write(helpText);
  else if (argument === "--version" || argument === "-V") process.stdout.write(`tund ${version}\n`);
  else {
    process.stderr.write(`tund: unknown argument '${argument}': it takes none; see tund --help\n`);
    process.exitCode = 2;
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`tund: ${messageOf(error)}\n`);
  process.exit(1);
});
