// What the daemon's rooms ask of the machine, for tests that are in one of them.
import { resolve } from "node:path";
import { Kems } from "../../daemon/ssh/kex/kems.ts";
import { Worker } from "../../daemon/ssh/kex/worker-process.ts";
import { makeOutside as make, type Outside } from "../../daemon/ssh/outside.ts";
import { Children } from "../../daemon/ssh/children.ts";
import { type Clock, systemClock } from "../../shared/clock.ts";
import { silent } from "./silent-log.ts";

/** As main.ts makes it, with the four threads that Node has. */
export const makeOutside = (clock: Clock = systemClock): Outside => {
  const children = new Children(null, process.env);
  const script = resolve("dist/kem-worker.cjs");
  const kems = new Kems({
    worker: new Worker({ script, env: process.env, children, clock: systemClock }),
    log: silent,
  });
  return make({ children, kems }, clock, 4);
};
