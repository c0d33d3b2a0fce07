// The control API of one daemon, with what it tells of the daemon itself.
import { EventEmitter, once } from "node:events";
import type { Socket } from "node:net";
import { type Clock, timestamp } from "../shared/clock.ts";
import type { Log } from "../shared/log.ts";
import type { Status } from "../shared/records.ts";
import { version } from "../shared/version.ts";
import { buildServer } from "./api/server.ts";
import type { Config } from "./config.ts";
import type { Registry } from "./masters/registry.ts";
import type { Metrics } from "./metrics.ts";
import { selfCheck } from "./self-check.ts";
import { nativeCrypto } from "./ssh/ssh2/internals.ts";
import { lookAround } from "./surroundings.ts";
import type { Turns } from "./turns.ts";

/** What is behind it. */
interface Behind {
  registry: Registry;
  metrics: () => Promise<Metrics>;
  isNative: boolean;
  /** whether systemd made the control socket */
  isGiven: boolean;
  /** whether a connection to the control socket is of tund's own uid */
  isOwn: (control: Socket) => boolean;
  health: () => Pick<Status["daemon"], "log" | "descriptors">;
  /** whether a connection to the control socket took the last descriptor that may be taken */
  isLast: (control: Socket) => boolean;
  slices: Turns;
  clock: Clock;
  log: Log;
}

/** Makes it. Nobody is answered until `restored` is called. `around` finds what there is around tund, and what is not. */
export function makeApi(config: Config, behind: Behind) {
  const { registry, metrics, isNative, isGiven, isOwn, health, isLast, slices, clock, log } = behind;
  const around = () => lookAround({ ...config, ...config.person, pid: process.pid, isNative });
  const daemon = itself(config.socket, clock);
  const start = new EventEmitter();
  const app = buildServer({
    registry,
    daemon: () => ({ ...daemon, ...health() }),
    clock,
    metrics,
    isLast,
    isOwn,
    slices,
    selfCheck: async () => {
      const found = await selfCheck({ ...daemon, stateDir: config.stateDir, isNative, isGiven });
      return [...found, ...(await around())];
    },
    log,
    restored: once(start, "restored"),
  });
  return { app, around, restored: () => void start.emit("restored") };
}

// The daemon, as it tells of itself.
const itself = (socket: string, clock: Clock) => ({
  version,
  pid: process.pid,
  since: timestamp(clock.now()),
  socket,
  node: process.version,
  nativeCrypto: nativeCrypto(),
});
