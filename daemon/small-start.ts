// V8 is told to start small. Imported before anything else: it counts only for what is evaluated after it. On a loopback
// with one master it is the difference between 67 and 59 MiB.
import { setFlagsFromString } from "node:v8";

// The young generation grows with what lives through a start, to two times 8 MiB, and never shrinks below what it once had.
// Traffic is in Buffers, which are not in it: it has no need of more than the first MiB.
setFlagsFromString("--semi-space-growth-factor=1");
// Until heap.ts says otherwise: no room ahead of what is there, and no optimised code of what runs only once. The optimising
// compiler itself is 3 MiB of Node's own pages, and leaves as much behind.
setFlagsFromString("--optimize-for-size");
setFlagsFromString("--no-opt");
