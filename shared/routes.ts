// Verb → method and path of the control API. Plain data: tunctl loads this, and never the schemas.

export const routes = {
  getStatus: { method: "GET", url: "/v1/status" },
  listMasters: { method: "GET", url: "/v1/masters" },
  connectMaster: { method: "PUT", url: "/v1/masters/:host" },
  getMaster: { method: "GET", url: "/v1/masters/:host" },
  exitMaster: { method: "DELETE", url: "/v1/masters/:host" },
  checkMaster: { method: "POST", url: "/v1/masters/:host/check" },
  reconnectMaster: { method: "POST", url: "/v1/masters/:host/reconnect" },
  stopMaster: { method: "POST", url: "/v1/masters/:host/stop" },
  holdMaster: { method: "POST", url: "/v1/masters/:host/hold" },
  handOverHold: { method: "PUT", url: "/v1/holds/:id" },
  listForwards: { method: "GET", url: "/v1/forwards" },
  openForwards: { method: "POST", url: "/v1/forwards" },
  getForward: { method: "GET", url: "/v1/forwards/:id" },
  cancelForward: { method: "DELETE", url: "/v1/forwards/:id" },
  cancelForwards: { method: "POST", url: "/v1/forwards/cancel" },
  resolveHost: { method: "POST", url: "/v1/resolve" },
  getMetrics: { method: "GET", url: "/metrics" },
  watchEvents: { method: "GET", url: "/v1/events" },
  scanHostKeys: { method: "POST", url: "/v1/host-keys/scan" },
  trustHostKeys: { method: "POST", url: "/v1/host-keys" },
  diagnose: { method: "POST", url: "/v1/doctor" },
  openConversation: { method: "POST", url: "/v1/conversations" },
  answerPrompt: { method: "POST", url: "/v1/conversations/:id/answers" },
  openStdio: { method: "POST", url: "/v1/stdio" },
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
