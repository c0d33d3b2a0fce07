// What everything that sets up forwards has around it.
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { Forward } from "../forwards/forward.ts";
import type { ListenerKeeper } from "../forwards/listener-keeper.ts";
import type { ParkingLimits } from "../forwards/parking.ts";
import type { Outside } from "../ssh/outside.ts";
import type { Desired } from "./desired.ts";
import type { Roster } from "./roster.ts";

export interface House extends Pick<Outside, "files" | "resolver"> {
  roster: Roster;
  desired: Desired;
  /** the forwards of all masters */
  everywhere: () => readonly Forward[];
  /** told when anything about a forward but its counters has changed */
  onChange: (forward: Forward) => void;
  parking: ParkingLimits;
  /** who keeps listeners of this machine while the daemon is restarted */
  keeper: ListenerKeeper;
  /** whether a connection may stay that has just got its descriptor; one that may not is closed */
  admits: (socket: Socket) => boolean;
  clock: Clock;
  log: Log;
}
