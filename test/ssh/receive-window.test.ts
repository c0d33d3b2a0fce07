import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { expect, it, onTestFinished } from "vitest";
import { startProxy } from "../faults/proxy.ts";
import { digestOf, digestOfPoured, pour } from "../plumbing/pump.ts";
import { manualClock } from "../support/clock.ts";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { echoServer, pseudoRandom } from "../support/echo.ts";
import { startFarEnd } from "../support/far-end.ts";
import { freePort } from "../support/free-port.ts";
import { startInProcess } from "../support/in-process.ts";
import { residentBytes } from "../support/process-figures.ts";
import { startSshServer } from "../support/ssh-server.ts";
import { startSshd } from "../support/sshd.ts";
import { standsStill } from "../support/stands-still.ts";
import { dialLoopback, dialPath, echoed, endOf } from "../support/tcp.ts";

const MIB = 1024 * 1024;
const SIZE = 96 * MIB;
// What a channel on a far path begins with: what is under way beyond that is what its window has grown by.
const FIRST = 2 * MIB;
// What all channels of the daemon may have beyond that.
const BUDGET = 128 * MIB;

/** Sends pseudo-random bytes until it is over, then its end; gives their SHA-256, in hex. */
async function pourUntil(socket: Socket, isOver: () => boolean): Promise<string> {
  const hash = createHash("sha256");
  function* chunks() {
    for (const chunk of pseudoRandom(Infinity)) {
      if (isOver()) return;
      hash.update(chunk);
      yield chunk;
    }
  }
  await pipeline(Readable.from(chunks()), socket, { end: false });
  socket.end();
  return hash.digest("hex");
}

it("carries a far download whose reader stops and goes on, holds a bounded part of it, and loses no byte", async () => {
  const sshd = await startSshd();
  const proxy = await startProxy(sshd.port);
  proxy.delay(60);
  await sshd.addHost("far", { Port: proxy.port, StrictHostKeyChecking: "no" });
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  const far = await startFarEnd();
  onTestFinished(async () => {
    await tund.stop();
    await far.close();
    await sshd.stop();
  });
  const port = await freePort();
  const { code, stderr } = await tund.tunctl(["forward", "-L", `${port}:${far.destination}`, "far"]);
  expect({ code, stderr }).toMatchObject({ code: 0 });

  const near = await dialLoopback(port);
  const source = await far.next();
  const before = residentBytes(tund.pid);
  const poured = pour(source, SIZE);
  const digest = digestOf(near);
  // It reads a third, and then stops until nothing more comes from the far end.
  await eventually(() => expect(near.bytesRead).toBeGreaterThan(SIZE / 3), { deadlineMs: 30_000 });
  near.pause();
  const accepted = () => source.bytesWritten - source.writableLength;
  await standsStill(accepted);
  expect(proxy.mostUnderWay()).toBeGreaterThan(2 * FIRST);
  // It stands still long before the end, at what the window was when the reader stopped.
  expect(accepted()).toBeLessThan(SIZE);
  expect(residentBytes(tund.pid) - before).toBeLessThan(SIZE);
  near.resume();
  await poured;
  expect(await digest).toBe(digestOfPoured(SIZE));
});

it("takes a path for as near as the quickest open of a channel was, however late the server answers keepalives", async () => {
  const clock = manualClock();
  const server = await startSshServer();
  server.switches.onKeepalive = () => clock.advance(60);
  const tund = await startInProcess(server.sshConfig, clock);
  const echo = await echoServer();
  onTestFinished(async () => {
    const ticking = setInterval(() => clock.advance(1000), 5); // or the end would be held up
    await tund.close();
    clearInterval(ticking);
    await server.close();
    await echo.close();
  });
  const port = await freePort();
  const spec = `${port}:127.0.0.1:${echo.port}`;
  await tund.registry.openForwards({ host: "fake", forwards: [{ kind: "local", spec }] });
  expect((await tund.registry.check("fake")).roundTripMs).toBeGreaterThanOrEqual(60);

  for (const opensAfterMs of [60, 1, 60]) {
    server.switches.onOpen = () => clock.advance(opensAfterMs);
    const connection = await dialLoopback(port);
    await echoed(connection, "hello");
    connection.destroy();
  }

  const [far, ...near] = server.windows();
  expect(far).toBeGreaterThan(FIRST - MIB);
  expect(near).toHaveLength(2);
  expect(Math.max(...near)).toBeLessThan(MIB);
});

it("lets readers that stop all at once on a far path hold no more than its budget, and loses no byte of it", async ({
  skip,
}) => {
  const sshd = await startSshd();
  const proxy = await startProxy(sshd.port);
  proxy.delay(400);
  await sshd.addHost("far", { Port: proxy.port, StrictHostKeyChecking: "no" });
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  // Unix sockets at both ends: the system's buffers are small, and what the far end got rid of is with tund.
  const path = join(sshd.directory, "near");
  const far = await startFarEnd(join(sshd.directory, "far"));
  onTestFinished(async () => {
    await tund.stop();
    await far.close();
    await sshd.stop();
  });
  const forward = ["forward", "-L", `${path}:${far.destination}`, "far"];
  expect(await tund.tunctl(forward)).toMatchObject({ code: 0 });
  const pairs: { near: Socket; source: Socket }[] = [];
  for (let n = 0; n < 4; n++) pairs.push({ near: await dialPath(path), source: await far.next() });
  const before = residentBytes(tund.pid);
  const digests = pairs.map(({ near }) => digestOf(near));
  let isOver = false;
  const poured = pairs.map(({ source }) => pourUntil(source, () => isOver));
  for (const one of [...digests, ...poured]) one.catch(() => undefined); // they are cut off where the test ends before them
  const sum = (of: (pair: { near: Socket; source: Socket }) => number) =>
    pairs.reduce((total, pair) => total + of(pair), 0);
  const accepted = () => sum(({ source }) => source.bytesWritten - source.writableLength);
  const isFull = await eventually(() => proxy.mostUnderWay() > 40 * MIB, { deadlineMs: 90_000 }).catch(
    () => false,
  );
  if (!isFull) {
    const most = Math.round(proxy.mostUnderWay() / MIB);
    console.log(`skipped: with other work this machine has ${most} MiB under way at most, and 40 are wanted`);
    return skip();
  }
  await eventually(
    () => {
      for (const { near } of pairs) expect(near.bytesRead).toBeGreaterThan(64 * MIB);
    },
    { deadlineMs: 90_000 },
  );
  for (const { near } of pairs) near.pause();
  await standsStill(accepted);
  const held = accepted() - sum(({ near }) => near.bytesRead);
  expect(held).toBeGreaterThan(40 * MIB);
  // What the system and the programs on the way keep of it is little, and nothing is on its way any more.
  expect(held).toBeLessThan(BUDGET + 4 * FIRST + 8 * MIB);
  expect(residentBytes(tund.pid) - before).toBeLessThan(2 * BUDGET);
  isOver = true;
  for (const { near } of pairs) near.resume();
  expect(await Promise.all(digests)).toEqual(await Promise.all(poured));
}, 600_000);

it("ends the channel alone on which a server sends more than it was granted, and keeps none of the rest", async () => {
  const server = await startSshServer();
  const tund = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
  const echo = await echoServer();
  onTestFinished(async () => {
    await tund.stop();
    await server.close();
    await echo.close();
  });
  // A Unix socket: the system keeps little of what its reader does not take.
  const path = join(tund.home, "near");
  const forward = ["forward", "-L", `${path}:127.0.0.1:${echo.port}`, "fake"];
  expect(await tund.tunctl(forward)).toMatchObject({ code: 0 });
  const neighbour = await dialPath(path);
  await echoed(neighbour, "before");
  const before = residentBytes(tund.pid);

  server.switches.overrun = SIZE;
  const near = await dialPath(path);
  near.pause();
  await eventually(() => expect(server.opened()).toBe(2));
  // It is closed though its reader has read nothing, and the neighbour did not notice.
  await eventually(() => expect(server.channels()).toBe(1), { deadlineMs: 30_000 });
  expect(residentBytes(tund.pid) - before).toBeLessThan(SIZE / 2);
  expect(await echoed(neighbour, "after")).toBe("after");
  near.resume();
  await endOf(near);
  expect(near.bytesRead).toBeLessThanOrEqual(FIRST);
  neighbour.destroy();
  const { stdout } = await tund.tunctl(["status", "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({ masters: [{ state: "ready", reconnects: 0 }] });
});
