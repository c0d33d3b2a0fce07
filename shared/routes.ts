// Verb → method and path of the control API, and the members without which its answer is none. Plain data: tunctl loads this,
// and never the schemas.

export const routes = {
  getStatus: { method: "GET", url: "/v1/status", fields: ["daemon", "masters"] },
  listMasters: { method: "GET", url: "/v1/masters", fields: ["masters"] },
  connectMaster: { method: "PUT", url: "/v1/masters/:host", fields: ["host", "pid", "state"] },
  getMaster: { method: "GET", url: "/v1/masters/:host", fields: ["host", "pid", "state"] },
  exitMaster: { method: "DELETE", url: "/v1/masters/:host", fields: ["host", "pid", "state"] },
  checkMaster: { method: "POST", url: "/v1/masters/:host/check", fields: ["host", "pid", "roundTripMs"] },
  reconnectMaster: { method: "POST", url: "/v1/masters/:host/reconnect", fields: ["host", "pid", "state"] },
  stopMaster: { method: "POST", url: "/v1/masters/:host/stop", fields: ["host", "pid", "state"] },
  holdMaster: { method: "POST", url: "/v1/masters/:host/hold", fields: ["master", "forwards", "refused"] },
  handOverHold: { method: "PUT", url: "/v1/holds/:id", fields: [] },
  listForwards: { method: "GET", url: "/v1/forwards", fields: ["forwards"] },
  openForwards: { method: "POST", url: "/v1/forwards", fields: ["forwards"] },
  getForward: { method: "GET", url: "/v1/forwards/:id", fields: ["id", "host", "state"] },
  cancelForward: { method: "DELETE", url: "/v1/forwards/:id", fields: ["id", "host", "state"] },
  cancelForwards: { method: "POST", url: "/v1/forwards/cancel", fields: ["forwards"] },
  resolveHost: { method: "POST", url: "/v1/resolve", fields: ["host", "hostname", "forwards"] },
  getMetrics: { method: "GET", url: "/metrics", fields: [] },
  watchEvents: { method: "GET", url: "/v1/events", fields: [] },
  scanHostKeys: { method: "POST", url: "/v1/host-keys/scan", fields: ["host", "keys"] },
  trustHostKeys: { method: "POST", url: "/v1/host-keys", fields: ["host", "file"] },
  diagnose: { method: "POST", url: "/v1/doctor", fields: ["findings"] },
  openConversation: { method: "POST", url: "/v1/conversations", fields: [] },
  answerPrompt: { method: "POST", url: "/v1/conversations/:id/answers", fields: [] },
  openStdio: { method: "POST", url: "/v1/stdio", fields: ["ticket"] },
} as const;

export type Verb = keyof typeof routes;

/** Reply header that carries the daemon's version, so that tunctl can say when the two differ. */
export const VERSION_HEADER = "tund-version";

/**
 * Where the holder of a ticket of `openStdio` turns its connection into the channel itself: a GET with
 * `Upgrade: tund-stdio`, answered with 101, after which every byte belongs to the channel.
 */
export const stdioPath = (ticket: string): string => `/v1/stdio/${ticket}`;

/** The protocol that such a request upgrades to. */
export const STDIO_PROTOCOL = "tund-stdio";

/**
 * Where a caller opens a hold: a GET with `Upgrade: tund-hold`, answered with 101 and the hold's id in a header. The
 * master that is made on it ends with this connection; before it is closed from the other side, that says why in one line.
 */
export const HOLD_PATH = "/v1/hold";
export const HOLD_PROTOCOL = "tund-hold";
export const HOLD_HEADER = "tund-hold";
