import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Forward, Master } from "../../shared/records.ts";
import { startTund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { socks5Reply, socks5Request } from "../support/socks-client.ts";
import { startSshd } from "../support/sshd.ts";
import { dialLoopback, dialPath, echoed, endOf, refuses } from "../support/tcp.ts";
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

describe("a remote forward", () => {
  it("leads from a port of the server to a destination here, and is gone from there when it is cancelled", async () => {
    const port = await freePort();
    const [record] = await forward("-R", `${port}:${to()}`);
    expect(record).toMatchObject({
      kind: "remote",
      state: "active",
      boundTo: [`localhost:${port}`],
      allocatedPort: null,
    });
    const socket = await dialLoopback(port);
    expect(await echoed(socket, "from afar")).toBe("from afar");
    expect(await tunnel.forwardOn(port)).toMatchObject({
      channels: { open: 1, total: 1 },
      bytes: { in: 9, out: 9 },
    });
    await tunnel.ok("cancel", "-R", String(port), "testhost");
    expect(await refuses(port)).toBe(true);
    // What was established lives on.
    expect(await echoed(socket, "still")).toBe("still");
    socket.destroy();
  });

  it("on port 0 tells the port that the server chose, alone on stdout, and the same one when it is asked again", async () => {
    const first = await tunnel.ok("forward", "-R", `0:${to()}`, "testhost");
    expect(first).toMatch(/^\d+\n$/);
    const again = await tunnel.ok("forward", "-R", `0:${to()}`, "testhost");
    expect(again).toBe(first);
    const other = await tunnel.ok("forward", "-R", `0:127.0.0.1:1`, "-R", `0:127.0.0.1:2`, "testhost");
    expect(new Set([first.trim(), ...other.trim().split("\n")]).size).toBe(3);
    const socket = await dialLoopback(Number(first));
    expect(await echoed(socket, "chosen")).toBe("chosen");
    socket.destroy();
    const { forwards } = JSON.parse(await tunnel.ok("list", "--json")) as { forwards: Forward[] };
    expect(forwards.map(({ allocatedPort }) => allocatedPort)).toContain(Number(first));
    // By the allocated port, and by what was asked for.
    await tunnel.ok("cancel", "-R", first.trim(), "testhost");
    expect(await refuses(Number(first))).toBe(true);
    await tunnel.ok("cancel", "-R", "0:127.0.0.1:1", "-R", "0:127.0.0.1:2", "testhost");
    expect(await tunnel.forwards()).toEqual([]);
  });

  it("that the server refuses fails the command with a reason, and leaves nothing of it", async () => {
    const [free, taken] = [await freePort(), tunnel.echo.port];
    // sshd is content with one loopback of two, and does not say so: both have to be taken.
    closing(await echoServer({ host: "::1", port: taken }));
    const { code, stderr } = await tunnel.tund.tunctl([
      "forward",
      "-L",
      `${free}:a:1`,
      "-R",
      `${taken}:a:1`,
      "testhost",
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain(
      `refused to listen on localhost:${taken}: it may be in use there, or AllowTcpForwarding`,
    );
    expect(await refuses(free)).toBe(true);
    expect(await tunnel.forwards()).toEqual([]);
  });

  it("whose destination refuses closes that connection, counts it and says why", async () => {
    const port = await freePort();
    // Nobody listens there; on a port that is free now, another test may in a moment.
    await forward("-R", `${port}:127.0.0.1:1`);
    await endOf(await dialLoopback(port));
    await eventually(async () =>
      expect(await tunnel.forwardOn(port)).toMatchObject({
        state: "active",
        channels: { failed: 1, open: 0 },
        failure: { message: expect.stringMatching(/^connect failed: .*: connection refused$/) as string },
      }),
    );
  });

  it("has Unix sockets at either end", async () => {
    const [there, here] = [join(tunnel.sshd.directory, "r.sock"), join(tunnel.sshd.directory, "d.sock")];
    closing(await echoServer({ path: here }));
    await forward("-R", `${there}:${here}`);
    const socket = await dialPath(there);
    expect(await echoed(socket, "by paths")).toBe("by paths");
    socket.destroy();
    const port = await freePort();
    await forward("-R", `${port}:${here}`);
    const other = await dialLoopback(port);
    expect(await echoed(other, "half")).toBe("half");
    other.destroy();
  });

  it("is asked for again when the link comes back", async () => {
    const own = await startSshd();
    const tund = await startTund({ env: { TUND_SSH_CONFIG: own.sshConfig } });
    onTestFinished(async () => {
      await tund.stop();
      await own.stop();
    });
    const port = await freePort();
    const { stdout } = await tund.tunctl(["forward", "-R", `${port}:${to()}`, "-R", `0:${to()}`, "testhost"]);
    const chosen = Number(stdout);
    own.dropSessions();
    for (const each of [port, chosen])
      await eventually(async () => {
        const socket = await dialLoopback(each);
        expect(await echoed(socket, "back again")).toBe("back again");
        socket.destroy();
      });
    const { stdout: status } = await tund.tunctl(["status", "--json"]);
    expect((JSON.parse(status) as { masters: Master[] }).masters).toMatchObject([
      { reconnects: 1, forwards: 2 },
    ]);
  });
});

describe("a remote dynamic forward", () => {
  it("speaks SOCKS at the server's end, and connects from here", async () => {
    const port = await freePort();
    const [record] = await forward("-R", String(port));
    expect(record).toMatchObject({ kind: "remote", destination: null, state: "active" });
    const socket = await dialLoopback(port);
    socket.write(socks5Request(tunnel.echo.port));
    expect(await socks5Reply(socket)).toBe(0);
    socket.resume();
    expect(await echoed(socket, "from the far side")).toBe("from the far side");
    socket.destroy();
    const refused = await dialLoopback(port);
    refused.write(socks5Request(await freePort()));
    expect(await socks5Reply(refused)).toBe(5); // connection refused (RFC 1928 section 6)
  });

  it("leads only where PermitRemoteOpen permits, and says that it may not", async () => {
    const port = await freePort();
    await tunnel.sshd.addHost("permitting", { PermitRemoteOpen: `127.0.0.1:${tunnel.echo.port}` });
    await tunnel.ok("forward", "-R", String(port), "permitting");
    onTestFinished(async () => void (await tunnel.tund.tunctl(["exit", "permitting"])));
    const other = closing(await echoServer());
    const socket = await dialLoopback(port);
    socket.write(socks5Request(other.port));
    expect(await socks5Reply(socket)).toBe(2); // not allowed by ruleset
    expect(other.connections().total).toBe(0);
    const permitted = await dialLoopback(port);
    permitted.write(socks5Request(tunnel.echo.port));
    expect(await socks5Reply(permitted)).toBe(0);
    permitted.destroy();
    expect(await tunnel.forwardOn(port)).toMatchObject({
      channels: { failed: 1 },
      failure: { message: expect.stringContaining("PermitRemoteOpen") as string },
    });
  });
});

describe("a reverse tunnel to an SSH server here", () => {
  it("is logged in to from the far side, by the real ssh", async () => {
    const port = await freePort();
    await forward("-R", `${port}:127.0.0.1:${tunnel.sshd.port}`);
    // As somebody there would: ssh -p PORT localhost. The key is known by the server's own name.
    const options = ["-F", tunnel.sshd.sshConfig, "-o", `HostKeyAlias=[127.0.0.1]:${tunnel.sshd.port}`];
    const from = [...options, "-o", "BatchMode=yes", "-o", `Port=${port}`];
    const shell = await run("ssh", [...from, "-o", "HostName=localhost", "testhost", "cat; exit 3"], {
      input: "from the far side",
    });
    expect(shell).toMatchObject({ code: 3, stdout: "from the far side" });
  });
});
