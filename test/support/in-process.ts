// The daemon's rooms joined as main.ts joins them, in this process: the real client speaks to the real API.
import { join, resolve } from "node:path";
import { Client } from "../../cli/client.ts";
import { buildServer } from "../../daemon/api/server.ts";
import { claimControlSocket } from "../../daemon/control-socket.ts";
import { noSuspects, type Suspects } from "../../daemon/masters/suspects.ts";
import { CurrentHost } from "../../daemon/ssh/current-host.ts";
import { Registry } from "../../daemon/masters/registry.ts";
import { metricsWhenAsked } from "../../daemon/metrics.ts";
import { serveMux } from "../../daemon/mux/server.ts";
import { connect } from "../../daemon/ssh/connect.ts";
import { Doors } from "../../daemon/ssh/doors.ts";
import { DialQueue } from "../../daemon/ssh/dial-queue.ts";
import { KeyRing } from "../../daemon/ssh/key-ring.ts";
import { WindowBudget } from "../../daemon/ssh/receive-window.ts";
import { type Clock, systemClock } from "../../shared/clock.ts";
import { atPath } from "./at-path.ts";
import { makeOutside } from "./outside.ts";
import { makeResolver } from "./resolver.ts";
import { silent } from "./silent-log.ts";
import { tempDir } from "./temp-dir.ts";

export interface InProcess {
  registry: Registry;
  client: Client;
  socket: string;
  close(): Promise<void>;
}

/** Starts it with an ssh_config of the test's; `clock` times backoff and keepalive, and nothing else stands in for anything. */
export async function startInProcess(
  sshConfig: string,
  clock: Clock = systemClock,
  suspects: Suspects = noSuspects,
): Promise<InProcess> {
  const directory = await tempDir();
  const controlPath = join(directory.path, "mux-%C");
  const person = { home: directory.path, uid: 0, username: "me", env: {} };
  const outside = makeOutside();
  const { children, files } = outside;
  const resolver = makeResolver({ person, configFile: sshConfig, controlPath, files });
  const turns = new DialQueue({ most: 32, reserved: 8, slowMs: 1000, slices: outside.slices, clock });
  const shared = { ...outside, clock, turns, doors: new Doors(clock), windowBudget: new WindowBudget(0) };
  const keyRing = new KeyRing({
    directory: join(directory.path, "agent"),
    askpass: resolve("daemon/ssh/askpass.sh"),
    parser: resolve("node_modules/ssh2/lib/protocol/keyParser.js"),
    env: process.env,
    children,
    files,
    clock,
    log: silent,
  });
  const registry: Registry = new Registry({
    serveMux: (socket, host) => serveMux(socket, host, { registry, isPersistent: false, clock, log: silent }),
    resolve: (host, options, asking) => resolver.resolve(host, options, asking),
    dial: (attempt) => connect({ ...attempt, ...shared, keyRing, isAesFast: true, log: silent }),
    ...outside,
    turns,
    clock,
    current: new CurrentHost(systemClock),
    onAwaited: () => turns.reconsider(),
    suspects,
    store: { save: () => Promise.resolve() },
    parking: { ms: 30_000, most: 256 },
    random: () => 0,
    pid: 4711,
    log: silent,
  });
  const socket = join(directory.path, "s", "tund.sock");
  const health = { log: { lost: 0, failure: null }, descriptors: { limit: null, refused: 0 } };
  const daemon = {
    version: "1.2.3",
    pid: 4711,
    since: new Date(0).toISOString(),
    socket,
    node: process.version,
    nativeCrypto: true,
    ...health,
  };
  const metrics = metricsWhenAsked("1.2.3", registry.measures, () => health, outside.slices);
  const app = buildServer({
    registry,
    daemon: () => daemon,
    isLast: () => false,
    isOwn: () => true,
    clock,
    metrics,
    slices: outside.slices,
    selfCheck: async () => [],
    log: silent,
    restored: Promise.resolve(),
  });
  await app.ready();
  const claim = await claimControlSocket(app.server, socket, silent);
  return {
    registry,
    client: new Client(atPath(socket)),
    socket,
    close: async () => {
      await registry.close(0);
      keyRing.close();
      claim.release();
      await app.close();
      await directory.remove();
    },
  };
}
