// Turns to dial, with time at a standstill: nobody's becomes slow, so that the order is what decides.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { Transaction } from "../../daemon/masters/transaction.ts";
import { manualClock } from "../support/clock.ts";
import { deafServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process.ts";
import { startSshd } from "../support/sshd.ts";

// What the background may have in flight at once.
const SHARE = 24;
// And people, besides.
const PEOPLE = 8;

/** 30 hosts that say nothing and are kept connected, of which as many are dialled as may be, and an sshd. */
async function setUp() {
  const [sshd, unwanted] = [await startSshd(), await deafServer()];
  const hosts = Array.from({ length: 30 }, (_, n) => `silent${n}`);
  // One server's door has room for a few at once.
  const servers = await Promise.all(hosts.map(() => deafServer()));
  const dialled = () => servers.reduce((sum, server) => sum + server.connections().total, 0);
  const hostAt = (name: string, port: number) =>
    `Host ${name}\n  HostName 127.0.0.1\n  Port ${port}\n  HostKeyAlias ${name}\n`;
  const config = join(sshd.directory, "with-silent");
  const all = [
    ...hosts.map((name, index) => hostAt(name, servers[index]?.port ?? 0)),
    hostAt("unwanted", unwanted.port),
  ];
  await writeFile(config, `${all.join("")}${await readFile(sshd.sshConfig, "utf8")}`);
  const clock = manualClock();
  const daemon = await startInProcess(config, clock);
  onTestFinished(async () => {
    for (const server of [...servers, unwanted]) await server.close();
    await daemon.close();
    await sshd.stop();
  });
  const { registry } = daemon;
  for (const host of hosts) registry.keep(host);
  const isResolved = async (host: string) => (await registry.master(host)).port !== 0;
  for (const host of hosts) await eventually(() => isResolved(host));
  await eventually(() => dialled() === SHARE);
  /** Has one wait for its turn, behind the others. */
  const queue = async (host: string) => {
    registry.keep(host);
    await eventually(() => isResolved(host));
    expect((await registry.master(host)).state).toBe("connecting");
  };
  return { registry, clock, hosts, dialled, unwanted, queue };
}

it("a host that waits for its turn goes first as soon as somebody waits for it", async () => {
  const { registry, dialled, queue } = await setUp();
  await queue("testhost");
  await registry.connect("testhost");
  expect(dialled()).toBe(SHARE);
});

it("who only looks at a host waits for a turn as well, before all that is done in the background", async () => {
  const { registry, clock, dialled, unwanted, queue } = await setUp();
  await queue("unwanted");
  // A person's share is full too: one look each.
  const over = new AbortController();
  const looks = Array.from({ length: PEOPLE + 1 }, (_, n) =>
    registry.inspection.scan({ host: `silent${n}` }, new Transaction(over.signal)).catch(() => undefined),
  );
  await eventually(() => expect(dialled()).toBe(SHARE + PEOPLE));
  for (let turn = 0; turn < 100; turn++) await nextTurn();
  expect(dialled()).toBe(SHARE + PEOPLE);
  clock.advance(1000); // those that are dialled take long: the others may go
  await eventually(() => expect(dialled()).toBeGreaterThan(SHARE + PEOPLE));
  await eventually(() => expect(unwanted.connections().total).toBe(1));
  over.abort();
  await Promise.all(looks);
});

it("a host that waits for its turn is never dialled when it is not wanted any longer", async () => {
  const { registry, clock, hosts, dialled, unwanted, queue } = await setUp();
  await queue("unwanted");
  await registry.exit("unwanted");
  clock.advance(1000); // those that are dialled take long: the others may go
  await eventually(() => dialled() === hosts.length);
  expect(unwanted.connections().total).toBe(0);
});
