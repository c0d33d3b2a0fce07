// A master as it stands on the wire.
import { clipped } from "../../shared/clipped.ts";
import { timestamp } from "../../shared/clock.ts";
import type { Master as MasterRecord } from "../../shared/records.ts";
import type { Connection } from "../ssh/connection.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import { isPostQuantum } from "../ssh/kex/hybrids.ts";
import type { Carried } from "./carried.ts";
import type { MasterState } from "./state.ts";

const MOST_VERSION = 255; // RFC 4253 section 4.2, of the whole line

/** What is public of a master. */
interface Face {
  config: HostConfig;
  names: ReadonlySet<string>;
  state: MasterState;
  keptBy: ReadonlySet<string>;
  warnings: readonly string[];
  via: readonly string[];
}

/** What else decides its record. */
interface Inside {
  connection: Connection | undefined;
  carried: Carried;
  /** in milliseconds since the epoch */
  since: number;
  retryAt: number | null;
  connects: number;
  failure: MasterRecord["failure"];
  outside: Pick<MasterRecord, "pid" | "muxSocket" | "warnings">;
}

/** Makes it. */
export function masterRecord(face: Face, inside: Inside): MasterRecord {
  const { config, names, state, keptBy, warnings, via } = face;
  const { connection, carried, since, retryAt, connects, failure, outside } = inside;
  return {
    host: config.host,
    names: [...names],
    user: config.user,
    hostname: config.hostname,
    port: config.port,
    address: connection?.address ?? null,
    state,
    since: timestamp(since),
    kept: keptBy.size > 0,
    server: clipped(connection?.server ?? "", MOST_VERSION) || null,
    keyExchange: keyExchangeOf(config, connection),
    pid: outside.pid,
    roundTripMs: connection?.roundTripMs ?? null,
    reconnects: Math.max(0, connects - 1),
    failure,
    retryAt: retryAt === null ? null : timestamp(retryAt),
    via: [...via],
    muxSocket: outside.muxSocket,
    warnings: [...warnings, ...(connection?.warnings ?? []), ...outside.warnings],
    forwards: carried.forwards.length,
    channels: carried.connections,
  };
}

function keyExchangeOf(
  { warnsOfWeakKex }: HostConfig,
  connection: Connection | undefined,
): MasterRecord["keyExchange"] {
  const algorithm = connection?.kex ?? null;
  if (algorithm === null) return null;
  const postQuantum = isPostQuantum(algorithm);
  return { algorithm, postQuantum, warned: warnsOfWeakKex && !postQuantum };
}
