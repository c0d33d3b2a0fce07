// What a master is made with.
import type { TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Master as MasterRecord } from "../../shared/records.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import type { AttemptsOptions } from "./attempts.ts";
import type { Carried } from "./carried.ts";
import type { Master } from "./master.ts";

/** A master that somebody holds, as ssh holds its own: it is theirs alone, and ends with its link. */
export interface Held {
  /** the process that it is to the world */
  pid: number;
  /** it ends after so many seconds without connections (ControlPersist); null: never */
  persistSeconds: number | null;
}

export interface MasterOptions extends Pick<
  AttemptsOptions,
  "dial" | "follow" | "clock" | "random" | "goodLogins" | "isWayOpen"
> {
  config: HostConfig;
  /** what it carries: nothing yet */
  carried: Carried;
  /** whose it is alone; null: everybody's */
  held: Held | null;
  /** whether a command that is under way needs it */
  isClaimed: () => boolean;
  /** what others know of it: the process that it is to the world, its mux socket, and what they had to leave out */
  outside: () => Pick<MasterRecord, "pid" | "muxSocket" | "warnings">;
  log: Log;
  /** its names, which it is given later */
  names: Set<string>;
  /** whether it dials now, when it is needed, or when a person wants it */
  start: "connecting" | "idle" | "failed";
  /** why it does not dial by itself */
  failure: TundError | null;
  onReady: (master: Master) => void;
  /** called when a person has begun to wait for it */
  onAwaited: () => void;
  /** called when anything but a counter has changed */
  onChange: (master: Master) => void;
}
