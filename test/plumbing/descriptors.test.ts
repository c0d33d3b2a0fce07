import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { openDescriptors, processorMs, settledDescriptors } from "../support/process-figures.ts";
import { living } from "../support/process-tree.ts";
import { run } from "../support/run.ts";
import { echoed } from "../support/tcp.ts";
import { type OpenWay, pairOf, plumbing } from "./every-way.ts";
import { kinds } from "./kinds.ts";
import { note } from "./notes.ts";
import { converse } from "./pump.ts";
import { subjectNames } from "./subjects.ts";

const on = plumbing();
const title = "runs out of descriptors, does not spin, and works again when there are some";
const PRLIMIT = "/usr/bin/prlimit";
const isMissing = !existsSync(PRLIMIT);
if (isMissing) console.warn(`skipped: '${title}' needs ${PRLIMIT} (util-linux)`);

// What is left to a subject, and what comes for it.
const SPARE = 12;
const CLIENTS = 40;
const LOAD_MS = 700;
// Long enough for all that the daemon does by the clock; once is enough.
const LONG_LOAD_MS = 3500;
const BUSY_AT_MOST = 0.8;

describe.skipIf(isMissing).each(subjectNames)("%s", (name) => {
  it.each(kinds.map((kind) => [kind.name, kind] as const))(`%s: ${title}`, async (_, kind) => {
    const way = on.way(name, kind);
    const { pid, tund } = way.subject;
    way.far.echo(true);
    await eventually(() => expect(way.far.open()).toBe(0));
    const before = await settledDescriptors(pid);
    // From outside: Node raises its own limit when it starts, and what `ulimit` sets could not be raised again.
    await limit(pid, before + SPARE);
    try {
      const isLong = tund !== null && kind === kinds[0];
      const busy = await loadOfTooMany(way, before, isLong ? LONG_LOAD_MS : LOAD_MS);
      expect(living([pid])).toEqual([pid]);
      if (name === "tund") expect(busy).toBeLessThan(BUSY_AT_MOST);
      // Still within the limit: the listener has lived through it.
      await eventually(() => answers(way), { deadlineMs: 20_000 });
      await eventually(() => expect(openDescriptors(pid)).toBeLessThanOrEqual(before));
      if (tund !== null) expect(await tund.tunctl(["list"])).toMatchObject({ code: 0 });
      const did = busy < BUSY_AT_MOST ? "waits quietly" : "uses a whole processor";
      note({ title, subject: name, kind: kind.name, did: `${did}; works again afterwards` });
    } finally {
      await limit(pid, 10_000);
    }
    await eventually(() => expect(way.far.open()).toBe(0));
    way.far.echo(false);
    for (const each of kinds) await converse(await pairOf(on.way(name, each)));
  });
});

/** The share of a processor that a subject uses while more clients than it can take hold on to it. */
async function loadOfTooMany(way: OpenWay, before: number, ms: number): Promise<number> {
  const { pid } = way.subject;
  const sockets: Socket[] = [];
  try {
    for (let client = 0; client < CLIENTS; client++) sockets.push(await way.start());
    await eventually(() => expect(openDescriptors(pid)).toBeGreaterThanOrEqual(before + SPARE - 2));
    const [begun, used] = [performance.now(), processorMs(pid)];
    await eventually(() => performance.now() - begun > ms);
    return (processorMs(pid) - used) / (performance.now() - begun);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

async function answers(way: OpenWay): Promise<boolean> {
  const socket = await way.connect();
  try {
    return (await echoed(socket.resume(), "back again")) === "back again";
  } finally {
    socket.destroy();
  }
}

async function limit(pid: number, descriptors: number): Promise<void> {
  const args = ["--pid", String(pid), `--nofile=${descriptors}:`];
  expect(await run(PRLIMIT, args)).toMatchObject({ code: 0, stderr: "" });
}
