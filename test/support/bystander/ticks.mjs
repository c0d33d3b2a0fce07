// A process that has an echo, and sends one byte each 20 ms wherever it is told to; it measures how long each one is on its way.
// Two of them run at once: one's bytes go through tund, the other's do not. Started with fork(), and ended by disconnecting.
import { connect, createServer } from "node:net";

const TICK_MS = 20;
const MOST_WAITS = 20_000;

/** Milliseconds of a clock that all processes of this machine share. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

const lanes = new Map();

function note(lane, sent, at) {
  const ms = at - sent;
  for (let second = Math.floor(sent / 1000); second <= Math.floor(at / 1000); second++)
    lane.worst[second] = Math.max(lane.worst[second] ?? 0, ms);
  if (ms > TICK_MS && lane.waits.length < MOST_WAITS) lane.waits.push({ sent, ms });
}

function run(name, where) {
  const lane = { ticks: 0, worst: {}, waits: [], ended: null, under: [] };
  lanes.set(name, lane);
  const socket = connect(where).on("error", () => undefined);
  if (where.port !== undefined) socket.setNoDelay(true);
  const timer = setInterval(() => {
    lane.under.push(now());
    lane.ticks++;
    socket.write("t");
  }, TICK_MS);
  socket.on("data", (chunk) => {
    const at = now();
    for (let i = 0; i < chunk.length; i++) note(lane, lane.under.shift() ?? at, at);
  });
  socket.once("close", () => {
    clearInterval(timer);
    settle(lane);
    lane.ended = now();
  });
}

/** What is under way still has waited until now. */
function settle(lane) {
  const at = now();
  for (const sent of lane.under) note(lane, sent, at);
  if (lane.ended === null) lane.under = [];
}

process.on("message", (message) => {
  if (message.run !== undefined) run(message.run, message.where);
  if (message.report === true) {
    for (const lane of lanes.values()) settle(lane);
    const seen = [...lanes].map(([name, { ticks, worst, waits, ended }]) => [
      name,
      { ticks, worst, waits, ended },
    ]);
    process.send({ lanes: Object.fromEntries(seen) });
  }
});
process.once("disconnect", () => process.exit());

const echo = createServer({ noDelay: true }, (socket) => socket.on("error", () => undefined).pipe(socket));
echo.listen(0, "127.0.0.1", () => process.send({ port: echo.address().port }));
