// What the daemon's rooms ask of the machine, for tests that are in one of them.
import { makeOutside as make, type Outside } from "../../daemon/ssh/outside.ts";
import { Children } from "../../daemon/ssh/children.ts";
import { type Clock, systemClock } from "../../shared/clock.ts";

/** As main.ts makes it, with the four threads that Node has. */
export const makeOutside = (clock: Clock = systemClock): Outside =>
  make(new Children(null, process.env), clock, 4);
