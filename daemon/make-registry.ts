// The registry of one daemon, with what it resolves, dials and serves by.
import type { Socket } from "node:net";
import type { Clock } from "../shared/clock.ts";
import type { Log } from "../shared/log.ts";
import type { Config } from "./config.ts";
import type { ListenerKeeper } from "./forwards/listener-keeper.ts";
import { limited } from "./masters/limit.ts";
import { Registry } from "./masters/registry.ts";
import { serveMux } from "./mux/server.ts";
import { hasAesInstructions } from "./ssh/aes.ts";
import { connect } from "./ssh/connect.ts";
import { HostResolver } from "./ssh/host-config.ts";
import type { KeyRing } from "./ssh/key-ring.ts";
import type { Outside } from "./ssh/outside.ts";
import { WindowBudget } from "./ssh/receive-window.ts";
import type { Store } from "./store.ts";

// After a long sleep or a restart everything wants its link at once: neither servers nor we gain by that.
const MOST_DIALLING = 32;
const MOST_RESOLVING = 4;
// What stalled readers on far paths may make us hold, beside what each channel begins with.
const WINDOW_BUDGET_BYTES = 128 * 1024 * 1024;

/** What the registry has around it. */
export interface Surroundings extends Outside {
  store: Store;
  keyRing: KeyRing;
  keeper: ListenerKeeper;
  mayEnter: (socket: Socket) => boolean;
  admits: (socket: Socket) => boolean;
  clock: Clock;
  log: Log;
}

/** Makes the registry of one daemon: how it resolves hosts, dials them, and serves mux clients. */
export function makeRegistry(
  config: Config,
  { store, keyRing, keeper, mayEnter, admits, clock, log, ...outside }: Surroundings,
): Registry {
  const { person, sshConfig: configFile, controlPath, keepsMuxForwards: isPersistent } = config;
  const resolver = new HostResolver({ person, configFile, controlPath, files: outside.files });
  const windowBudget = new WindowBudget(WINDOW_BUDGET_BYTES);
  const isAesFast = hasAesInstructions();
  const registry: Registry = new Registry({
    resolve: limited(MOST_RESOLVING, (host, options) => resolver.resolve(host, options)),
    dial: limited(MOST_DIALLING, (attempt) =>
      connect({
        ...attempt,
        ...outside,
        clock,
        windowBudget,
        keyRing,
        isAesFast,
        log: log.child({ host: attempt.config.host }),
      }),
    ),
    serveMux: (socket, host) => {
      if (mayEnter(socket)) admits(socket);
      return serveMux(socket, host, { registry, isPersistent, clock, log });
    },
    ...outside,
    store,
    keeper,
    admits,
    parking: config.parking,
    clock,
    random: Math.random,
    pid: process.pid,
    log,
  });
  return registry;
}
