// When V8 collects its whole heap, which for a program that moves bytes in Buffers is a question of what lies outside it.
import { getHeapStatistics, setFlagsFromString } from "node:v8";

// V8 frees young Buffers once there are some 32 MiB of them, and counts them on what the old generation may grow by: after
// a full collection that is 24 MiB when little else is allocated. So every 24 MiB of traffic asked for a full collection,
// and a GiB cost twice the processor time. What it may grow by can only be said as a percentage of what is left: of a heap
// of 8 MiB, which is what the daemon has, V8's own 10 to 300 are less than those Buffers.
const ROOM = 128 * 1024 * 1024;
const LEAST_PERCENT = 200;

// From V8 13 (Node 24) what lies outside has a fixed limit of its own, 64 MiB, which has the same end; as part of the whole
// it has the room that the whole has.
const ACCOUNTED_SINCE = 13;
const ACCOUNTED = "--external-memory-accounted-in-global-limit";

/** What lets V8 be as large as it likes again, to be called whenever there is something to be fast for: it does it once. */
export function unleasher(): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    setFlagsFromString("--opt");
    setFlagsFromString("--semi-space-growth-factor=2");
  };
}

/** Keeps traffic from collecting the whole heap all the time. To be called when the start is over. `v8` is V8's version. */
export function letHeapGrow(v8: string): void {
  setFlagsFromString("--no-optimize-for-size");
  // A flag that it does not know it complains of, on stderr.
  if (Number.parseInt(v8, 10) >= ACCOUNTED_SINCE) setFlagsFromString(ACCOUNTED);
  keepRoom();
}

/** Makes the percentage fit the heap as it is now: what is much for a small one would be far too much for a large one. */
export function keepRoom(): void {
  const percent = Math.round((100 * ROOM) / getHeapStatistics().used_heap_size);
  setFlagsFromString(`--heap-growing-percent=${Math.max(percent, LEAST_PERCENT)}`);
}
