// What V8 is told, all of it here and once, before anything else is evaluated: flags are the whole process's, and Node
// promises nothing of those that are set later. Each is worth it by `npm run bench` (memory, bulk, connections).
import { setFlagsFromString } from "node:v8";

// The young generation stays at 1 MiB. Where it may grow, and it does with the first thousand connections, to 16 MiB, it is
// that much more to be resident, and young Buffers wait that much longer to be freed.
setFlagsFromString("--semi-space-growth-factor=1");

// V8 counts Buffers on what the old generation may grow by until all of the heap is collected: after a collection that is
// 24 MiB when little else is allocated, which an upload brings in a fiftieth of a second. Five times what is left, some
// 8 MiB, is enough for 60 collections a GiB to become none.
setFlagsFromString("--heap-growing-percent=400");

// From V8 13 (Node 24) what lies outside has a fixed limit of its own, 64 MiB, which has the same end; as part of the whole
// it has the room that the whole has. A flag that V8 does not know it complains of, on stderr.
const ACCOUNTED_SINCE = 13;
if (Number.parseInt(process.versions.v8, 10) >= ACCOUNTED_SINCE)
  setFlagsFromString("--external-memory-accounted-in-global-limit");
