// Records of the API for tests of tunctl alone.
import type { Forward, Master } from "../../shared/records.ts";

/** When the records below were true. */
export const now = Date.parse("2026-11-22T21:07:00.000Z");
/** So many seconds before that. */
export const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString();

/** A forward as the API gives it. */
export const forward: Forward = {
  id: "f7k2",
  name: null,
  host: "db",
  kind: "local",
  spec: "5432:localhost:5432",
  bind: { address: "localhost", port: 5432 },
  destination: { host: "localhost", port: 5432 },
  allocatedPort: null,
  boundTo: ["127.0.0.1:5432", "[::1]:5432"],
  state: "active",
  since: ago(60),
  failure: null,
  retryAt: null,
  warnings: [],
  persistent: true,
  onDemand: false,
  idleSeconds: null,
  channels: { open: 1, total: 20, failed: 0, parked: 0 },
  bytes: { in: 48_211, out: 912 },
};

/** A master as the API gives it. */
export const master: Master = {
  host: "db",
  names: ["db", "alice@db.internal"],
  user: "alice",
  hostname: "db.internal",
  port: 22,
  address: "10.0.0.7:22",
  state: "ready",
  since: ago(7200),
  kept: false,
  server: "OpenSSH_9.2p1",
  keyExchange: { algorithm: "mlkem768x25519-sha256", postQuantum: true, warned: false },
  pid: 4242,
  roundTripMs: 12.34,
  reconnects: 2,
  failure: null,
  retryAt: null,
  via: [],
  muxSocket: null,
  warnings: [],
  forwards: 1,
  channels: 3,
};
