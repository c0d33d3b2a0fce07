// The registry of one daemon, with what it resolves, dials and serves by.
import type { Socket } from "node:net";
import type { Clock } from "../shared/clock.ts";
import type { Log } from "../shared/log.ts";
import type { Config } from "./config.ts";
import type { ListenerKeeper } from "./forwards/listener-keeper.ts";
import { Registry } from "./masters/registry.ts";
import type { Suspects } from "./masters/suspects.ts";
import { serveMux } from "./mux/server.ts";
import { hasAesInstructions } from "./ssh/aes.ts";
import { connect } from "./ssh/connect.ts";
import type { CurrentHost } from "./ssh/current-host.ts";
import { DialQueue } from "./ssh/dial-queue.ts";
import { Doors } from "./ssh/doors.ts";
import { HostResolver } from "./ssh/host-config.ts";
import type { KeyRing } from "./ssh/key-ring.ts";
import type { Outside } from "./ssh/outside.ts";
import type { SshQueries } from "./ssh/ssh-queries.ts";
import { WindowBudget } from "./ssh/receive-window.ts";
import type { Store } from "./store.ts";

// After a long sleep or a restart everything wants its link at once: neither servers nor we gain by that. A turn lasts until
// keys are exchanged; one that takes longer than a second waits for its server, and lets the next one go.
const DIALLING = { most: 32, reserved: 8, slowMs: 1000 };
// What stalled readers on far paths may make us hold, beside what each channel begins with.
const WINDOW_BUDGET_BYTES = 128 * 1024 * 1024;

/** What the registry has around it. */
export interface Surroundings extends Outside {
  store: Store;
  keyRing: KeyRing;
  queries: SshQueries;
  current: CurrentHost;
  suspects: Suspects;
  keeper: ListenerKeeper;
  mayEnter: (socket: Socket) => boolean;
  admits: (socket: Socket) => boolean;
  clock: Clock;
  log: Log;
}

/** Makes the registry of one daemon: how it resolves hosts, dials them, and serves mux clients. */
export function makeRegistry(config: Config, surroundings: Surroundings): Registry {
  const { keyRing, queries, mayEnter, ...rest } = surroundings;
  const { children, files, hostKeyFiles, hostKeyMemory, resolver: names, kems } = rest;
  const { slices, admits, clock, log } = rest;
  const { person, sshConfig: configFile, controlPath, keepsMuxForwards: isPersistent } = config;
  const resolver = new HostResolver({ person, configFile, controlPath, files, queries });
  const turns = new DialQueue({ ...DIALLING, slices, clock });
  const doors = new Doors(clock);
  const windowBudget = new WindowBudget(WINDOW_BUDGET_BYTES);
  const isAesFast = hasAesInstructions();
  const { loginMemory } = rest;
  const outside = { children, files, hostKeyFiles, hostKeyMemory, loginMemory, resolver: names, kems };
  const shared = { ...outside, clock, turns, doors, windowBudget, keyRing, isAesFast };
  const registry: Registry = new Registry({
    resolve: (host, options, wish) => resolver.resolve(host, options, wish),
    dial: (attempt) => connect({ ...attempt, ...shared, log: log.child({ host: attempt.config.host }) }),
    onAwaited: () => {
      queries.reconsider();
      turns.reconsider();
      doors.reconsider();
    },
    serveMux: (socket, host) => {
      if (mayEnter(socket)) admits(socket);
      return serveMux(socket, host, { registry, isPersistent, clock, log });
    },
    ...rest,
    turns,
    parking: config.parking,
    random: Math.random,
    pid: process.pid,
  });
  return registry;
}
