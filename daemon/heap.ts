// When V8 collects its whole heap, which for a program that moves bytes in Buffers is a question of what lies outside it.
import { setFlagsFromString } from "node:v8";

// V8 frees young Buffers once there are some 32 MiB of them, and counts them on what the old generation may grow by: after
// the first full collection that is 24 MiB when little else is allocated. So every 24 MiB of traffic asked for a full
// collection, and a GiB cost twice the processor time. Three times what is left (V8's own factor is 1.1 to 4) is room enough.
const GROWTH = "--heap-growing-percent=200";

// From V8 13 (Node 24) what lies outside has a fixed limit of its own, 64 MiB, which has the same end; as part of the whole
// it has the room that the whole has.
const ACCOUNTED_SINCE = 13;
const ACCOUNTED = "--external-memory-accounted-in-global-limit";

/** Keeps traffic from collecting the whole heap all the time. To be called once, at the start. `v8` is V8's version. */
export function letHeapGrow(v8: string): void {
  setFlagsFromString(GROWTH);
  // A flag that it does not know it complains of, on stderr.
  if (Number.parseInt(v8, 10) >= ACCOUNTED_SINCE) setFlagsFromString(ACCOUNTED);
}
