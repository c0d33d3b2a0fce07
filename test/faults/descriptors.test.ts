// Out of descriptors: what is refused is counted and told, and whoever is to set things right still gets through.
import { connect, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import type { Forward, Status } from "../../shared/records.ts";
import { startTund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed, works } from "../support/tcp.ts";

// What the daemon itself has open, and a few more.
const FEW = 64;

/** So many connections, which say that much and are held. Those that are refused are not missed. */
function hold(to: { port: number; host: string } | { path: string }, times: number, text: string): Socket[] {
  const sockets = Array.from({ length: times }, () => connect(to));
  for (const socket of sockets) {
    socket.on("error", () => undefined);
    socket.write(text);
  }
  onTestFinished(() => letGo(sockets));
  return sockets;
}

const letGo = (sockets: readonly Socket[]): void => sockets.forEach((socket) => socket.destroy());

it("the control socket answers while a forward, a mux socket and silent callers have used up the descriptors", async () => {
  const sshd = await startSshd();
  onTestFinished(() => sshd.stop());
  const echo = await echoServer();
  onTestFinished(() => echo.close());
  const tund = await startTund({
    env: { TUND_SSH_CONFIG: sshd.sshConfig },
    within: ["/bin/sh", "-c", `ulimit -n ${FEW}; exec "$@"`, "sh"],
  });
  onTestFinished(async () => void (await tund.stop()));
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await tund.tunctl(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  };
  const port = await freePort();
  await ok("forward", "-L", `${port}:127.0.0.1:${echo.port}`, "testhost");
  const first = await dialLoopback(port);
  expect(await echoed(first, "before")).toBe("before");
  const status = async () => JSON.parse(await ok("status", "--json")) as Status;
  const muxSocket = (await status()).masters[0]?.muxSocket ?? "";
  const before = tund.fds();
  let refused = 0;
  const crowds = [
    () => hold({ port, host: "127.0.0.1" }, 100, "x"),
    () => hold({ path: muxSocket }, 100, "\0"),
    () => hold({ path: tund.socket }, 100, "GET "),
  ];
  for (const crowd of crowds) {
    const held = crowd();
    // Each crowd is more than there is room for.
    await eventually(async () => {
      const { descriptors } = (await status()).daemon;
      expect(descriptors.limit).toBe(FEW);
      expect(descriptors.refused).toBeGreaterThan(refused);
    });
    ({ refused } = (await status()).daemon.descriptors);
    expect(await ok("status")).toMatch(/^descriptors: \d+ connections refused, for there may be 64/m);
    expect((JSON.parse(await ok("list", "--json")) as { forwards: Forward[] }).forwards).toHaveLength(1);
    expect(await echoed(first, "meanwhile")).toBe("meanwhile");
    letGo(held);
    await eventually(() => expect(tund.fds()).toBeLessThanOrEqual(before + 2));
  }
  // A link takes more descriptors than a connection: for it, too, some are kept back.
  const held = hold({ port, host: "127.0.0.1" }, 100, "x");
  await eventually(() => expect(tund.fds()).toBeGreaterThan(before + 10));
  await sshd.addHost("other", { Port: sshd.port, ConnectTimeout: 11 });
  await ok("connect", "other");
  await ok("cancel", "-L", String(port), "testhost");
  letGo(held);
  await ok("forward", "-L", `${port}:127.0.0.1:${echo.port}`, "testhost");
  await eventually(() => works(port));
  first.destroy();
  const told = tund
    .log()
    .split("\n")
    .filter((line) => line.includes("out of descriptors"));
  expect(told.length).toBeGreaterThan(0);
  // However many they were.
  expect(told.length).toBeLessThan(100);
});
