// What a master is made with.
import type { Log } from "../../shared/log.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import type { AttemptsOptions } from "./attempts.ts";
import type { Master } from "./master.ts";

export interface MasterOptions extends Pick<AttemptsOptions, "dial" | "clock" | "random"> {
  config: HostConfig;
  pid: number;
  log: Log;
  /** whether it dials now, or when it is needed */
  start: "connecting" | "idle";
  onReady: (master: Master) => void;
  /** called when anything but a counter has changed */
  onChange: (master: Master) => void;
}
