// What a server may forbid, by sshd_config and by authorized_keys: it is told with its reason, and touches nothing else.
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Forward } from "../../shared/records.ts";
import { startTund } from "../support/daemon.ts";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { socks5Reply, socks5Request } from "../support/socks-client.ts";
import { type SshdOptions, startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed, endOf, readAll, refuses, works } from "../support/tcp.ts";

/** A server with restrictions, a daemon that speaks to it, and two destinations; all for the running test alone. */
async function under(restrict: (allowed: LoopbackServer, free: number) => SshdOptions) {
  const [allowed, other] = [await echoServer(), await echoServer()];
  const free = await freePort();
  const sshd = await startSshd(restrict(allowed, free));
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  onTestFinished(async () => {
    await tund.stop();
    await Promise.all([sshd.stop(), allowed.close(), other.close()]);
  });
  const list = async () =>
    (JSON.parse((await tund.tunctl(["list", "--json"])).stdout) as { forwards: Forward[] }).forwards;
  return {
    sshd,
    allowed,
    other,
    free,
    forward: (...specs: string[]) => tund.tunctl(["forward", ...specs, "testhost"]),
    tunctl: (...args: string[]) => tund.tunctl(args),
    list,
    local: async (to: string) => {
      const port = await freePort();
      expect(await tund.tunctl(["forward", "-L", `${port}:${to}`, "testhost"])).toMatchObject({ code: 0 });
      return {
        port,
        record: async () => (await list()).find(({ bind }) => "port" in bind && bind.port === port),
      };
    },
  };
}

type World = Awaited<ReturnType<typeof under>>;

/** A local forward there is prohibited: the connection ends, the record says why, and what is permitted still works. */
async function expectProhibited(
  world: World,
  to: string,
  reason = "administratively prohibited",
): Promise<void> {
  const forward = await world.local(to);
  await endOf(await dialLoopback(forward.port));
  await eventually(async () =>
    expect(await forward.record()).toMatchObject({
      state: "active",
      channels: { failed: 1, open: 0 },
      failure: { message: expect.stringContaining(reason) as string },
    }),
  );
}

/** No session channel was opened: sshd at VERBOSE logs each one that is. */
const expectNoSession = ({ sshd }: World) => expect(sshd.log()).not.toMatch(/Starting session/);

describe("a server that permits one destination (PermitOpen)", () => {
  it("refuses the others, each connection for itself, and says so to every kind of client", async () => {
    const world = await under(({ port }) => ({ config: [`PermitOpen 127.0.0.1:${port}`] }));
    const good = await world.local(`127.0.0.1:${world.allowed.port}`);
    const held = await dialLoopback(good.port);
    expect(await echoed(held, "before")).toBe("before");
    await expectProhibited(world, `127.0.0.1:${world.other.port}`);

    const socks = await freePort();
    await world.forward("-D", String(socks));
    const asked = await dialLoopback(socks);
    asked.write(socks5Request(world.other.port));
    expect(await socks5Reply(asked)).toBe(2); // not allowed by ruleset (RFC 1928 section 6)
    const browser = await dialLoopback(socks);
    browser.write(`CONNECT 127.0.0.1:${world.other.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect((await readAll(browser)).toString()).toMatch(/^HTTP\/1\.1 403 /);

    const stdio = await world.tunctl("stdio", `127.0.0.1:${world.other.port}`, "testhost");
    expect(stdio).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/administratively prohibited/i) as string,
    });
    // Nothing else was disturbed.
    expect(await echoed(held, "after")).toBe("after");
    held.destroy();
    await works(good.port);
    expectNoSession(world);
  });
});

describe("a server that permits one port to listen on (PermitListen)", () => {
  it("refuses the others with the reason, and nothing of the command is left", async () => {
    const world = await under((_, free) => ({ config: [`PermitListen localhost:${free}`] }));
    const to = `127.0.0.1:${world.allowed.port}`;
    const other = await freePort();
    const refused = await world.forward("-R", `${other}:${to}`);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`refused to listen on localhost:${other}`);
    expect(refused.stderr).toContain("PermitListen");
    expect(await world.list()).toEqual([]);
    expect(await world.forward("-R", `${world.free}:${to}`)).toMatchObject({ code: 0, stderr: "" });
    await works(world.free);
    expectNoSession(world);
  });
});

describe("a server with AllowTcpForwarding", () => {
  it("no: neither way is there, nor to a path, as for ssh", async () => {
    const world = await under(() => ({ config: ["AllowTcpForwarding no"] }));
    await expectProhibited(world, `127.0.0.1:${world.allowed.port}`);
    const remote = await world.forward("-R", `${world.free}:127.0.0.1:${world.allowed.port}`);
    expect(remote).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("AllowTcpForwarding") as string,
    });
    const path = join(world.sshd.directory, "echo.sock");
    const unix = await echoServer({ path });
    onTestFinished(() => unix.close());
    await expectProhibited(world, path, "connect failed");
    expectNoSession(world);
  });

  it("local: -L is there and -R is not", async () => {
    const world = await under(() => ({ config: ["AllowTcpForwarding local"] }));
    const good = await world.local(`127.0.0.1:${world.allowed.port}`);
    await works(good.port);
    expect(await world.forward("-R", `${world.free}:127.0.0.1:1`)).toMatchObject({ code: 1 });
    await works(good.port);
  });

  it("remote: -R is there and -L is not", async () => {
    const world = await under(() => ({ config: ["AllowTcpForwarding remote"] }));
    expect(await world.forward("-R", `${world.free}:127.0.0.1:${world.allowed.port}`)).toMatchObject({
      code: 0,
    });
    await expectProhibited(world, `127.0.0.1:${world.allowed.port}`);
    await works(world.free);
  });
});

describe("a server with AllowStreamLocalForwarding no", () => {
  it("refuses paths at its end, and carries TCP", async () => {
    const world = await under(() => ({ config: ["AllowStreamLocalForwarding no"] }));
    const path = join(world.sshd.directory, "echo.sock");
    const unix = await echoServer({ path });
    onTestFinished(() => unix.close());
    await expectProhibited(world, path, "connect failed");
    const remote = await world.forward("-R", `${join(world.sshd.directory, "r.sock")}:127.0.0.1:1`);
    expect(remote.code).toBe(1);
    expect(remote.stderr).toContain("AllowStreamLocalForwarding");
    const good = await world.local(`127.0.0.1:${world.allowed.port}`);
    await works(good.port);
  });
});

describe("a key with options in authorized_keys", () => {
  it("permitopen= and permitlisten= hold as the server's own do", async () => {
    const world = await under(({ port }, free) => ({
      authorizedKeys: (key) => [
        `restrict,port-forwarding,permitopen="127.0.0.1:${port}",permitlisten="localhost:${free}" ${key}`,
      ],
    }));
    const to = `127.0.0.1:${world.allowed.port}`;
    const good = await world.local(to);
    await expectProhibited(world, `127.0.0.1:${world.other.port}`);
    expect(await world.forward("-R", `${await freePort()}:${to}`)).toMatchObject({ code: 1 });
    expect(await world.forward("-R", `${world.free}:${to}`)).toMatchObject({ code: 0 });
    await works(good.port);
    await works(world.free);
    expectNoSession(world);
  });

  it("restrict: the master stands, and neither way is permitted", async () => {
    const world = await under(() => ({ authorizedKeys: (key) => [`restrict ${key}`] }));
    expect(await world.tunctl("connect", "testhost")).toMatchObject({ code: 0 });
    await expectProhibited(world, `127.0.0.1:${world.allowed.port}`);
    const remote = await world.forward("-R", `${world.free}:127.0.0.1:1`);
    expect(remote.code).toBe(1);
    expect(remote.stderr).toContain("authorized_keys");
    expect(await world.tunctl("check", "testhost")).toMatchObject({ code: 0 });
  });

  it('command="...", a server\'s Match with ForceCommand and PermitTTY no, MaxSessions 0: forwards need no session', async () => {
    const world = await under(() => ({
      config: [
        "MaxSessions 0",
        "Match all",
        "ForceCommand /bin/false",
        "PermitTTY no",
        "X11Forwarding no",
        "AllowAgentForwarding no",
      ],
      authorizedKeys: (key) => [`command="/bin/false" ${key}`],
    }));
    const to = `127.0.0.1:${world.allowed.port}`;
    const socks = await freePort();
    expect(await world.forward("-R", `${world.free}:${to}`, "-D", String(socks))).toMatchObject({ code: 0 });
    await works((await world.local(to)).port);
    await works(world.free);
    const asked = await dialLoopback(socks);
    asked.write(socks5Request(world.allowed.port));
    expect(await socks5Reply(asked)).toBe(0);
    asked.resume();
    expect(await echoed(asked, "by name")).toBe("by name");
    asked.destroy();
    expect(await refuses(world.free)).toBe(false);
    expectNoSession(world);
  });
});
