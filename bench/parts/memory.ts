// Memory: what is resident when idle, for each master and connection, after bulk, and while readers stall.
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, type Part, times } from "../bench.ts";
import { openControl } from "../control.ts";
import type { Held } from "../generators.ts";
import type { Measure } from "../measures.ts";
import { type Memory, memoryOf } from "../memory-of.ts";
import { startSshSubject, startTundSubject, type Subject } from "../subjects.ts";

const MASTERS = [10, 100] as const;
const SSH_MASTERS = 10;
const CHANNELS = 1000;
const STALLED = 20;

const rss = (name: string, title: string, most?: number): Measure => ({
  name: `memory.${name}`,
  title,
  unit: "MiB",
  digits: most !== undefined && most < 1 ? 2 : 1,
  better: "less",
  beside: "ssh -L",
  ...(most !== undefined && { mark: { of: "value", most } as const }),
});

const measures: readonly Measure[] = [
  rss("idle", "idle with one master, RSS", 60),
  rss("idle.pss", "idle with one master, PSS"),
  ...MASTERS.map((count) =>
    rss(`masters.${count}`, `${count} masters, PSS${count === 100 ? " (ssh: ten times ten)" : ""}`),
  ),
  rss("master", "a further master, RSS (ssh: PSS)", 0.3),
  { ...rss("channel", "an idle connection, RSS"), unit: "KiB", mark: { of: "value", most: 20 } },
  rss("after-bulk", "after bulk both ways, RSS", 100),
  rss("stalled", `${STALLED} connections that nobody reads, RSS more`),
];

/** When nothing has been asked of it for a while. A little garbage is left: nobody calls its collector from outside. */
async function atRest(pid: number): Promise<Memory> {
  await sleep(700);
  return memoryOf(pid);
}

async function holdAll({ load }: Bench, port: number): Promise<Held> {
  const held = await load.hold(port, CHANNELS);
  if (held.figures["served"] === CHANNELS) return held;
  await held.release();
  throw new Error(`${held.figures["served"]} of ${CHANNELS} connections were served`);
}

async function ofChannels(bench: Bench, { pid, ports }: Subject): Promise<number> {
  // The first ones fill what the start has left of the heap, and would seem to cost nothing.
  const first = await holdAll(bench, ports.echo);
  const before = await atRest(pid);
  const further = await holdAll(bench, ports.echo);
  const after = await atRest(pid);
  await further.release();
  await first.release();
  return ((after.rss - before.rss) * 1024) / CHANNELS;
}

async function ofStalled({ load }: Bench, { pid, ports }: Subject): Promise<number> {
  const before = await atRest(pid);
  const held = await load.stall(ports.source, STALLED);
  const after = await atRest(pid);
  await held.release();
  return after.rss - before.rss;
}

async function afterBulk({ load, pace }: Bench, { pid, ports }: Subject): Promise<number> {
  for (const way of ["down", "up"] as const)
    await load.flow(way, way === "down" ? ports.source : ports.sink, { warmMs: 0, runMs: 2000 * pace });
  return (await atRest(pid)).rss;
}

async function ofOne(bench: Bench): Promise<void> {
  for (const [owner, start] of [
    ["tund", startTundSubject],
    ["beside", startSshSubject],
  ] as const)
    // A fresh one for each: what one of them leaves is not to count as the next one's.
    for (const [name, take] of [
      ["channel", ofChannels],
      ["stalled", ofStalled],
      ["after-bulk", afterBulk],
    ] as const) {
      const subject = await start({ sshd: bench.sshd, far: bench.load.far });
      try {
        const idle = await atRest(subject.pid);
        bench.record("memory.idle", owner, idle.rss);
        bench.record("memory.idle.pss", owner, idle.pss);
        bench.record(`memory.${name}`, owner, await take(bench, subject));
      } finally {
        await subject.stop();
      }
    }
}

async function ofMasters(bench: Bench): Promise<void> {
  const { sshd, load } = bench;
  const most = Math.max(...MASTERS);
  const hosts = Array.from({ length: most }, (_, index) => `master${index}`);
  // Each is another connection only if something that decides it is different.
  for (const [index, host] of hosts.entries())
    await sshd.addHost(host, { ServerAliveInterval: 1000 + index });
  const subject = await startTundSubject({ sshd, far: load.far });
  const control = openControl(subject.tund?.socket ?? "");
  try {
    const one = await atRest(subject.pid);
    let last = one;
    for (const [index, host] of hosts.entries()) {
      await control.call("PUT", `/v1/masters/${host}`, {});
      if (!MASTERS.some((count) => count === index + 1)) continue;
      last = await atRest(subject.pid);
      bench.record(`memory.masters.${index + 1}`, "tund", last.pss);
    }
    bench.record("memory.master", "tund", (last.rss - one.rss) / most);
  } finally {
    control.close();
    await subject.stop();
  }
}

async function ofSshMasters({ sshd, load, record }: Bench): Promise<void> {
  const started: Subject[] = [];
  try {
    await times(SSH_MASTERS, async () => void started.push(await startSshSubject({ sshd, far: load.far })));
    await sleep(300);
    const all = started.reduce((sum, { pid }) => sum + memoryOf(pid).pss, 0);
    for (const count of MASTERS) record(`memory.masters.${count}`, "beside", (all * count) / SSH_MASTERS);
    record("memory.master", "beside", all / SSH_MASTERS);
  } finally {
    for (const subject of started) await subject.stop();
  }
}

async function run(bench: Bench): Promise<void> {
  await ofOne(bench);
  await ofMasters(bench);
  await ofSshMasters(bench);
}

/** Resident memory. */
export const memory: Part = { name: "memory", title: "Memory", measures, run };
