import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { expect, it } from "vitest";
import type { Forward } from "../../shared/records.ts";
import { eventually } from "../support/eventually.ts";
import { openDescriptors, settledDescriptors } from "../support/process-figures.ts";
import { echoed, readAll } from "../support/tcp.ts";
import { everyWay, type OpenWay, plumbing } from "./every-way.ts";
import { kinds } from "./kinds.ts";

const on = plumbing();
// No more than a listener's queue takes: sshd's holds 128, and a connection that finds it full waits a second.
const AT_A_TIME = 100;

everyWay(on, "carries 200 connections at once on one forward", async (way) => {
  await carries(way, 200);
  return "all of them answer";
});

it("tund carries 4,000 connections at once on one forward", async () => {
  const [local] = kinds;
  if (local === undefined) throw new Error("no kinds");
  const way = on.way("tund", local);
  const most = connectionsThatFit();
  if (most < 4000) console.warn(`descriptors allow ${most} connections only, not 4,000`);
  await carries(way, Math.min(4000, most), async (count) => {
    const { stdout } = (await way.subject.tund?.tunctl(["list", "--json"])) ?? { stdout: "" };
    const { forwards } = JSON.parse(stdout) as { forwards: Forward[] };
    expect(forwards.map(({ channels }) => channels.open)).toContain(count);
  });
});

/** Opens so many, has each of them answered, and ends them: everything goes back to what it was. */
async function carries(
  way: OpenWay,
  count: number,
  atTheTop?: (count: number) => Promise<void>,
): Promise<void> {
  way.far.echo(true);
  await eventually(() => expect(way.far.open()).toBe(0));
  const before = await settledDescriptors(way.subject.pid);
  const sockets: Socket[] = [];
  try {
    await openAll(way, count, sockets);
    await atTheTop?.(count);
    for (const socket of sockets) socket.end();
    expect(Buffer.concat(await Promise.all(sockets.map(readAll))).length).toBe(0);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  await eventually(() => expect(openDescriptors(way.subject.pid)).toBeLessThanOrEqual(before));
  await eventually(() => expect(way.far.open()).toBe(0));
}

async function openAll(way: OpenWay, count: number, sockets: Socket[]): Promise<void> {
  while (sockets.length < count) {
    const batch = Math.min(AT_A_TIME, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: batch }, () => way.connect()))));
  }
  const answers = await Promise.all(
    sockets.map((socket, index) => echoed(socket.resume(), `connection ${index}`)),
  );
  expect(answers).toEqual(sockets.map((_, index) => `connection ${index}`));
  expect(way.far.open()).toBe(count);
}

/** This process has both ends of each; Node has raised the limit as far as it may, and the subjects inherit it. */
function connectionsThatFit(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const soft = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  return Math.floor((soft - 200) / 2);
}
