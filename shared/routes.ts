// Verb → method and path of the control API. Plain data: tunctl loads this, and never the schemas.

export const routes = {
  getStatus: { method: "GET", url: "/v1/status" },
  listMasters: { method: "GET", url: "/v1/masters" },
  connectMaster: { method: "PUT", url: "/v1/masters/:host" },
  getMaster: { method: "GET", url: "/v1/masters/:host" },
  exitMaster: { method: "DELETE", url: "/v1/masters/:host" },
  checkMaster: { method: "POST", url: "/v1/masters/:host/check" },
  stopMaster: { method: "POST", url: "/v1/masters/:host/stop" },
  listForwards: { method: "GET", url: "/v1/forwards" },
  openForwards: { method: "POST", url: "/v1/forwards" },
  getForward: { method: "GET", url: "/v1/forwards/:id" },
  cancelForward: { method: "DELETE", url: "/v1/forwards/:id" },
  cancelForwards: { method: "POST", url: "/v1/forwards/cancel" },
} as const;

export type Verb = keyof typeof routes;

/** Reply header that carries the daemon's version, so that tunctl can say when the two differ. */
export const VERSION_HEADER = "tund-version";
