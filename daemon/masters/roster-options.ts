// What a roster is made with, and what it tells of.
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import type { CurrentHost } from "../ssh/current-host.ts";
import type { DialQueue } from "../ssh/dial-queue.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import type { Asking } from "../ssh/ssh-queries.ts";
import type { DialOver } from "./hops.ts";
import type { Master } from "./master.ts";
import type { ServeMux } from "./mux-sockets.ts";
import type { Named } from "./names.ts";
import type { Suspects } from "./suspects.ts";

export interface RosterOptions {
  resolve: (host: string, options?: ConnectionOptions, asking?: Asking) => Promise<HostConfig>;
  dial: DialOver;
  /** whose turn it is to dial, for who only looks at a host */
  turns: DialQueue;
  /** serves those who come to mux sockets */
  serveMux: ServeMux;
  /** called when a person has begun to wait for a master */
  onAwaited?: () => void;
  /** which host tund is busy with */
  current: CurrentHost;
  /** hosts that are left alone until a person wants them */
  suspects: Suspects;
  clock: Clock;
  random: () => number;
  pid: number;
  log: Log;
}

/** What the roster tells of. */
export interface RosterEvents {
  /** a master has become ready */
  onReady: (master: Master) => void;
  /** anything about a master but its counters has changed */
  onChange: (master: Master) => void;
  /** a host whose place was reserved has its true master now; the one before ends */
  onResolved: (named: Named, before: Master) => void;
}
