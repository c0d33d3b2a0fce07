import { expect, it, onTestFinished } from "vitest";
import { startProxy } from "../faults/proxy.ts";
import { digestOf, digestOfPoured, pour } from "../plumbing/pump.ts";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { echoServer } from "../support/echo.ts";
import { startFarEnd } from "../support/far-end.ts";
import { freePort } from "../support/free-port.ts";
import { residentBytes } from "../support/process-figures.ts";
import { startSshServer } from "../support/ssh-server.ts";
import { startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed } from "../support/tcp.ts";

const MIB = 1024 * 1024;
const SIZE = 96 * MIB;
// Each way: the window begins with 2 MiB then, and follows the path.
const DELAY_MS = 30;

it("carries a far download whose reader stops and goes on, holds a bounded part of it, and loses no byte", async () => {
  const sshd = await startSshd();
  const proxy = await startProxy(sshd.port);
  proxy.delay(DELAY_MS);
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
  let still = 0;
  let last = -1;
  await eventually(() => {
    still = source.bytesWritten - source.writableLength === last ? still + 1 : 0;
    last = source.bytesWritten - source.writableLength;
    return still > 20;
  });
  // It stands still long before the end, at what the window was when the reader stopped.
  expect(last).toBeLessThan(SIZE);
  expect(residentBytes(tund.pid) - before).toBeLessThan(SIZE);
  near.resume();
  await poured;
  expect(await digest).toBe(digestOfPoured(SIZE));
}, 60_000);

it("takes a path for as near as the quickest open of a channel was, however late the server answers keepalives", async () => {
  const server = await startSshServer();
  server.switches.answersAfterMs = 60;
  const tund = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
  const echo = await echoServer();
  onTestFinished(async () => {
    await tund.stop();
    await server.close();
    await echo.close();
  });
  const port = await freePort();
  const forward = ["forward", "-L", `${port}:127.0.0.1:${echo.port}`, "fake"];
  expect(await tund.tunctl(forward)).toMatchObject({ code: 0 });
  // The second keepalive is behind it, and has made the path look far.
  expect(await tund.tunctl(["check", "fake"])).toMatchObject({ code: 0 });

  const connection = await dialLoopback(port);
  await echoed(connection, "hello");
  connection.destroy();

  // A far path's window is 2 MiB.
  expect(server.windows()[0]).toBeLessThan(MIB);
});
