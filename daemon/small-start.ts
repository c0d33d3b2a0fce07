// V8 is told to start small. Imported before anything else: it counts only for what is evaluated after it. Of a daemon with
// one master these are 4 of 63 MiB. heap.ts takes it back: the first when the start is over, the others with the first channel.
import { setFlagsFromString } from "node:v8";

// No room ahead of what is there.
setFlagsFromString("--optimize-for-size");
// A start would make the young generation 16 MiB, and nothing makes it smaller soon.
setFlagsFromString("--semi-space-growth-factor=1");
// The optimising compiler is 3 MiB of Node's own pages, and leaves as much behind, for code most of which runs once.
setFlagsFromString("--no-opt");
