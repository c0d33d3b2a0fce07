// Loaded into tund before its own code (`node --require`), by the bystander's harness alone: which turns of the event loop were
// long, and what ran in them. Who connects to the Unix socket TUND_TEST_PROBE is given that, also while the loop stands
// still, since it is a worker thread that answers.
const { readFileSync } = require("node:fs");
const { isMainThread, Worker, workerData } = require("node:worker_threads");

const BEAT_MS = 5;
const LONG_MS = 20;
const TURNS = 2048;
const SAMPLE_US = 2000;
// Where a native call does not end, the profile cannot be had.
const PROFILE_DEADLINE_MS = 5000;
const LOOK_MS = 20;
const MOST_LOOKS = 100_000;

/** Milliseconds of a clock that all processes of this machine share. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** shared: [moment of the last beat, processor time then, number of turns, then start, end, processor time of each] */
function watchTurns() {
  const path = process.env.TUND_TEST_PROBE;
  if (path === undefined) return;
  delete process.env.TUND_TEST_PROBE; // what tund starts is none of ours
  const shared = new Float64Array(new SharedArrayBuffer(8 * (3 + 3 * TURNS)));
  shared.set([now(), cpu()]);
  const worker = new Worker(__filename, { workerData: { path, shared }, execArgv: [], stdin: false });
  worker.on("error", () => undefined); // then there is no report, which the harness says
  worker.unref();
  setInterval(() => {
    const at = now();
    const used = cpu();
    if (at - shared[0] >= LONG_MS + BEAT_MS && shared[2] < TURNS)
      shared.set([shared[0] + BEAT_MS, at, used - shared[1]], 3 + 3 * shared[2]++);
    shared.set([at, used]);
  }, BEAT_MS).unref();
}

/** The turns so far, the one that goes on included. */
function turnsIn(shared) {
  const turns = [];
  for (let i = 0; i < shared[2]; i++) {
    const [start, end, used] = shared.subarray(3 + 3 * i);
    turns.push({ start, end, cpuMs: used, isOver: true });
  }
  const at = now();
  if (at - shared[0] >= LONG_MS + BEAT_MS)
    turns.push({ start: shared[0] + BEAT_MS, end: at, cpuMs: cpu() - shared[1], isOver: false });
  return turns;
}

/**
 * How long the main thread could have run and had no processor, as the kernel counts it: [moment, milliseconds until then],
 * again and again. It is a busy machine's fault, and not tund's. None where the kernel does not say (Linux alone does).
 */
function watchDelay() {
  const file = `/proc/self/task/${process.pid}/schedstat`;
  const looks = [];
  const starter = process.ppid;
  setInterval(() => {
    // A test process that was killed cannot end what it started; a loop that stands still hears nothing else.
    if (process.ppid !== starter) process.kill(process.pid, "SIGKILL");
    try {
      const [, delay] = readFileSync(file, "utf8").split(" ");
      if (looks.length < MOST_LOOKS) looks.push([now(), Number(delay) / 1e6]);
    } catch {
      // there is none
    }
  }, LOOK_MS).unref();
  return looks;
}

function report({ path, shared }) {
  const { Session } = require("node:inspector");
  const { createServer } = require("node:net");
  const looks = watchDelay();
  const session = new Session();
  session.connectToMainThread();
  const post = (method, params) =>
    new Promise((resolve, reject) =>
      session.post(method, params, (error, result) => (error ? reject(error) : resolve(result))),
    );
  const started = post("Profiler.enable")
    .then(() => post("Profiler.setSamplingInterval", { interval: SAMPLE_US }))
    .then(() => post("Profiler.start"));
  started.catch(() => undefined);
  const profile = () => {
    const late = new Promise((resolve) => setTimeout(resolve, PROFILE_DEADLINE_MS, null));
    const got = started.then(() => post("Profiler.stop")).then((result) => result.profile);
    return Promise.race([got.catch(() => null), late]);
  };
  createServer(async (socket) => {
    socket.on("error", () => undefined);
    const turns = turnsIn(shared); // before the profile is made, which is a turn of its own
    socket.end(JSON.stringify({ turns, delays: looks, profile: await profile() }));
  }).listen(path);
}

if (isMainThread) watchTurns();
else if (workerData?.shared !== undefined) report(workerData);
