import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Forward } from "../../shared/records.ts";
import { startTund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { dialLoopback, echoed, endOf, refuses } from "../support/tcp.ts";
import { closing, startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;
const to = () => `127.0.0.1:${tunnel.echo.port}`;

beforeAll(async () => {
  tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

/** Sets forwards up for this test alone. */
async function forward(...args: string[]): Promise<Forward[]> {
  const { forwards } = JSON.parse(await tunnel.ok("forward", "--json", ...args, "testhost")) as {
    forwards: Forward[];
  };
  onTestFinished(async () => {
    for (const { id } of forwards) await tunnel.tund.tunctl(["cancel", id]);
  });
  return forwards;
}

describe("the forwards of ssh_config", () => {
  it("are set up by connect, and by TUND_CONNECT", async () => {
    const [local, dynamic, remote] = [await freePort(), await freePort(), await freePort()];
    await tunnel.sshd.addHost("configured", {
      LocalForward: `${local} ${to()}`,
      DynamicForward: dynamic,
      RemoteForward: `${remote} ${to()}`,
    });
    await tunnel.ok("connect", "configured");
    const { forwards } = JSON.parse(await tunnel.ok("list", "--json", "configured")) as {
      forwards: Forward[];
    };
    expect(forwards.map(({ kind, state }) => [kind, state])).toEqual([
      ["local", "active"],
      ["dynamic", "active"],
      ["remote", "active"],
    ]);
    await tunnel.ok("connect", "configured");
    expect(
      (JSON.parse(await tunnel.ok("list", "--json", "configured")) as { forwards: Forward[] }).forwards,
    ).toHaveLength(3);
    await tunnel.ok("exit", "configured");
    expect(await Promise.all([local, dynamic, remote].map((port) => refuses(port)))).toEqual([
      true,
      true,
      true,
    ]);

    const tund = await startTund({
      env: { TUND_SSH_CONFIG: tunnel.sshd.sshConfig, TUND_CONNECT: "configured" },
    });
    onTestFinished(async () => void (await tund.stop()));
    for (const port of [local, remote])
      await eventually(async () => {
        const socket = await dialLoopback(port);
        expect(await echoed(socket, "configured")).toBe("configured");
        socket.destroy();
      });
  });

  it("that cannot be are warned of, or fail the command under ExitOnForwardFailure, or are left out", async () => {
    const port = await freePort();
    closing(await echoServer({ host: "::1", port: tunnel.echo.port }));
    const settings = { LocalForward: `${port} ${to()}`, RemoteForward: `${tunnel.echo.port} ${to()}` };
    await tunnel.sshd.addHost("partly", settings);
    const { code, stderr } = await tunnel.tund.tunctl(["connect", "partly"]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^tunctl: warning: remote forward .* of ssh_config: .* refused to listen on/);
    expect(await refuses(port)).toBe(false);
    await tunnel.ok("exit", "partly");

    await tunnel.sshd.addHost("strictly", { ...settings, ExitOnForwardFailure: "yes" });
    expect(await tunnel.tund.tunctl(["connect", "strictly"])).toMatchObject({ code: 1 });
    expect(await refuses(port)).toBe(true);
    expect(await tunnel.tund.tunctl(["check", "strictly"])).toMatchObject({ code: 4 });

    await tunnel.sshd.addHost("cleared", { ...settings, ClearAllForwardings: "yes" });
    await tunnel.ok("connect", "cleared");
    expect(await refuses(port)).toBe(true);
    await tunnel.ok("exit", "cleared");
  });

  it("listen everywhere under GatewayPorts, as those of the command line do", async () => {
    const [a, b] = [await freePort(), await freePort()];
    await tunnel.sshd.addHost("gateway", { GatewayPorts: "yes", LocalForward: `${a} ${to()}` });
    await tunnel.ok("connect", "gateway");
    await tunnel.ok("forward", "-L", `${b}:${to()}`, "gateway");
    expect((await tunnel.forwardOn(a))?.boundTo).toEqual([`0.0.0.0:${a}`, `[::]:${a}`]);
    expect((await tunnel.forwardOn(b))?.boundTo).toEqual([`0.0.0.0:${b}`, `[::]:${b}`]);
    await tunnel.ok("exit", "gateway");
  });
});

describe("cancel", () => {
  it("leaves established connections, ends them after a while, or at once, as it is told", async () => {
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    await forward(...ports.flatMap((port) => ["-L", `${port}:${to()}`]));
    const sockets = await Promise.all(ports.map((port) => dialLoopback(port)));
    await Promise.all(sockets.map((socket) => echoed(socket, "established")));
    const [left, drained, closed] = sockets as [
      (typeof sockets)[0],
      (typeof sockets)[0],
      (typeof sockets)[0],
    ];
    await tunnel.ok("cancel", "-L", String(ports[0]), "testhost");
    const began = performance.now();
    await tunnel.ok("cancel", "--drain", "1", "-L", String(ports[1]), "testhost");
    await tunnel.ok("cancel", "--close", "-L", String(ports[2]), "testhost");
    await endOf(closed);
    expect(await echoed(drained, "draining")).toBe("draining");
    await endOf(drained);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(await echoed(left, "left alone")).toBe("left alone");
    left.destroy();
  });

  it("of one kind never touches another on the same port", async () => {
    const port = await freePort();
    const other = await freePort();
    await forward("-L", `127.0.0.1:${port}:${to()}`, "-R", `[::1]:${port}:${to()}`, "-D", String(other));
    await tunnel.ok("cancel", "-R", String(port), "testhost");
    expect([await refuses(port, "127.0.0.1"), await refuses(port, "::1"), await refuses(other)]).toEqual([
      false,
      true,
      false,
    ]);
    await tunnel.ok("cancel", "-D", String(other), "testhost");
    expect([await refuses(port, "127.0.0.1"), await refuses(other)]).toEqual([false, true]);
    expect(await tunnel.tund.tunctl(["cancel", "-R", String(port), "testhost"])).toMatchObject({ code: 4 });
  });
});
