// Sees from another thread that the event loop of this one stands still, looks where, and breaks what holds it.
import { Worker } from "node:worker_threads";

const STILL_MS = 5000;
const BEAT_MS = 100;

const WATCH = `
const { parentPort, workerData } = require("node:worker_threads");
const { Session } = require("node:inspector");
const beats = new Int32Array(workerData.beats);
const session = new Session();
session.connectToMainThread();
const urls = new Map();
session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
session.post("Debugger.enable");
session.on("Debugger.paused", ({ params }) => {
  const frames = params.callFrames.map(({ functionName, location }) =>
    "    at " + (functionName || "<anonymous>") + " (" + urls.get(location.scriptId) + ":" + (location.lineNumber + 1) + ")");
  parentPort.postMessage(frames.slice(0, 20).join("\\n"));
  session.post("Debugger.resume");
  session.post("Runtime.terminateExecution");
});
// Of the processor's time: a machine that is busy with something else is none of our business.
const used = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
let [last, since] = [-1, used()];
setInterval(() => {
  const now = Atomics.load(beats, 0);
  if (now !== last) [last, since] = [now, used()];
  else if (used() - since > workerData.stillMs) {
    since = used();
    session.post("Debugger.pause");
  }
}, 500);`;

/** Watches until its answer is called. @param onStill called with the stack of what held the event loop for 5 s of processor time */
export function watchEventLoop(onStill: (stack: string) => void): () => Promise<void> {
  const beats = new SharedArrayBuffer(4);
  const beat = setInterval(() => Atomics.add(new Int32Array(beats), 0, 1), BEAT_MS);
  const worker = new Worker(WATCH, { eval: true, workerData: { beats, stillMs: STILL_MS } });
  worker.on("message", onStill);
  return async () => {
    clearInterval(beat);
    await worker.terminate();
  };
}
