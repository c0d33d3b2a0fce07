import { createHash } from "node:crypto";
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Forward, Master } from "../../shared/records.ts";
import { startTund } from "../support/daemon.ts";
import { echoServer, pseudoRandom } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed, endOf, refuses } from "../support/tcp.ts";
import { closing, startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;

beforeAll(async () => {
  tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

describe("where a local forward listens", () => {
  it("is loopback of both families unless it is told otherwise", async () => {
    const [star, v4, v6, wide] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const to = `127.0.0.1:${tunnel.echo.port}`;
    await tunnel.ok(
      "forward",
      "-L",
      `*:${star}:${to}`,
      "-L",
      `127.0.0.1:${v4}:${to}`,
      "-L",
      `[::1]:${v6}:${to}`,
      "testhost",
    );
    await tunnel.ok("forward", "-g", "-L", `${wide}:${to}`, "testhost");
    expect((await tunnel.forwardOn(star))?.boundTo).toEqual([`0.0.0.0:${star}`, `[::]:${star}`]);
    expect((await tunnel.forwardOn(v4))?.boundTo).toEqual([`127.0.0.1:${v4}`]);
    expect((await tunnel.forwardOn(v6))?.boundTo).toEqual([`[::1]:${v6}`]);
    expect((await tunnel.forwardOn(wide))?.boundTo).toEqual([`0.0.0.0:${wide}`, `[::]:${wide}`]);
    expect([await refuses(v4, "::1"), await refuses(v6, "127.0.0.1"), await refuses(v6, "::1")]).toEqual([
      true,
      true,
      false,
    ]);
    await tunnel.ok("cancel", "--all", "testhost");
    expect(await tunnel.forwards()).toEqual([]);
  });

  it("is told when somebody has the port, with the holder's name, and nothing of the command is left", async () => {
    const free = await freePort();
    const { code, stdout, stderr } = await tunnel.tund.tunctl([
      "forward",
      "-L",
      `${free}:a:1`,
      "-L",
      `${tunnel.echo.port}:a:1`,
      "testhost",
    ]);
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
    expect(stderr).toMatch(
      new RegExp(
        `^tunctl: cannot listen on 127\\.0\\.0\\.1:${tunnel.echo.port}: address already in use by .* \\(pid ${process.pid}\\)\\n$`,
      ),
    );
    expect(await refuses(free)).toBe(true);
  });

  it("is refused when one loopback of two is taken, for localhost would lead to either", async () => {
    const six = closing(await echoServer({ host: "::1" }));
    const { code, stderr } = await tunnel.tund.tunctl(["forward", "-L", `${six.port}:a:1`, "testhost"]);
    expect(code).toBe(5);
    expect(stderr).toContain(`cannot listen on [::1]:${six.port}: address already in use by`);
    expect(await refuses(six.port)).toBe(true);
  });

  it("is refused on an address that the machine does not have", async () => {
    const { code, stderr } = await tunnel.tund.tunctl([
      "forward",
      "-L",
      `192.0.2.1:${await freePort()}:a:1`,
      "testhost",
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain("the machine does not have this address");
  });
});

describe("cancel", () => {
  it("takes a whole spec, a bind part, or an id, and says what there is not", async () => {
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    const specs = ports.map((port) => `${port}:127.0.0.1:${tunnel.echo.port}`);
    await tunnel.ok("forward", ...specs.flatMap((spec) => ["-L", spec]), "testhost");
    await tunnel.ok("cancel", "-L", specs[0] ?? "", "testhost");
    await tunnel.ok("cancel", "-L", String(ports[1]), "testhost");
    const { id } = (await tunnel.forwardOn(ports[2])) as Forward;
    await tunnel.ok("cancel", id);
    expect(await Promise.all(ports.map((port) => refuses(port)))).toEqual([true, true, true]);
    expect(await tunnel.tund.tunctl(["cancel", id])).toMatchObject({
      code: 4,
      stderr: `tunctl: no forward ${id}\n`,
    });
    expect(await tunnel.tund.tunctl(["cancel", "-L", "1", "testhost"])).toMatchObject({
      code: 4,
      stderr: "tunctl: no local forward 1 on testhost\n",
    });
    expect(await tunnel.tund.tunctl(["cancel", "-L", "1", "elsewhere"])).toMatchObject({ code: 4 });
  });

  it("of one that is there and one that is not cancels neither", async () => {
    const port = await tunnel.forwardTo(`127.0.0.1:${tunnel.echo.port}`);
    const { code } = await tunnel.tund.tunctl(["cancel", "-L", String(port), "-L", "1", "testhost"]);
    expect(code).toBe(4);
    expect(await refuses(port)).toBe(false);
  });
});

describe("many", () => {
  it("masters carry many forwards with many connections each, and do not mix them up", async () => {
    for (const name of ["m1", "m2", "m3"])
      await tunnel.sshd.addHost(name, {
        HostKeyAlias: "shared",
        StrictHostKeyChecking: "accept-new",
        ServerAliveInterval: 20 + Number(name[1]),
      });
    const far = await Promise.all(Array.from({ length: 6 }, () => echoServer()));
    far.forEach(closing);
    const ports: number[] = [];
    for (const name of ["m1", "m2", "m3"]) {
      const specs = [];
      for (const server of far) {
        const port = await freePort();
        ports.push(port);
        specs.push("-L", `${port}:127.0.0.1:${server.port}`);
      }
      await tunnel.ok("forward", ...specs, name);
    }
    const rounds = ports.flatMap((port, index) =>
      Array.from({ length: 20 }, (_, round) => ({ port, say: `${index}-${round}` })),
    );
    await Promise.all(
      rounds.map(async ({ port, say }) => {
        const socket = await dialLoopback(port);
        expect(await echoed(socket, say)).toBe(say);
        socket.destroy();
      }),
    );
    expect(far.map((server) => server.connections().total)).toEqual(Array.from({ length: 6 }, () => 60));
    const { masters } = JSON.parse(await tunnel.ok("status", "--json")) as { masters: Master[] };
    expect(masters.filter(({ host }) => host.startsWith("m")).map(({ forwards: count }) => count)).toEqual([
      6, 6, 6,
    ]);
    for (const name of ["m1", "m2", "m3"]) await tunnel.ok("exit", name);
    expect(await Promise.all(ports.map((port) => refuses(port)))).not.toContain(false);
  });
});

describe("a server that restricts forwarding", () => {
  it("is quoted, and the master lives on", async () => {
    const strict = await startSshd({ config: ["AllowTcpForwarding no"] });
    const other = await startTund({ env: { TUND_SSH_CONFIG: strict.sshConfig } });
    onTestFinished(async () => {
      await other.stop();
      await strict.stop();
    });
    const port = await freePort();
    expect(
      await other.tunctl(["forward", "-L", `${port}:127.0.0.1:${tunnel.echo.port}`, "testhost"]),
    ).toMatchObject({ code: 0 });
    expect(await endOf(await dialLoopback(port))).toBe("end");
    await eventually(async () =>
      expect((await other.tunctl(["list"])).stdout).toContain("administratively prohibited: open failed"),
    );
    expect(await other.tunctl(["check", "testhost"])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Master running \(pid=\d+\)/) as string,
    });
  });
});

describe("a server that rekeys often", () => {
  it("loses no byte and no connection, under load in both directions", async () => {
    const own = await startSshd({ config: ["RekeyLimit 2M"] });
    const other = await startTund({ env: { TUND_SSH_CONFIG: own.sshConfig } });
    onTestFinished(async () => {
      await other.stop();
      await own.stop();
    });
    const port = await freePort();
    const spec = `${port}:127.0.0.1:${tunnel.echo.port}`;
    expect(await other.tunctl(["forward", "-L", spec, "testhost"])).toMatchObject({ code: 0 });
    const size = 60_000_000;
    const digest = async () => {
      const socket = await dialLoopback(port);
      const hash = createHash("sha256");
      socket.on("data", (chunk) => hash.update(chunk));
      await Promise.all([pipeline(Readable.from(pseudoRandom(size)), socket), once(socket, "end")]);
      return hash.digest("hex");
    };
    const expected = createHash("sha256");
    for (const chunk of pseudoRandom(size)) expected.update(chunk);
    expect(await Promise.all([digest(), digest()])).toEqual(Array(2).fill(expected.digest("hex")));
    const { stdout } = await other.tunctl(["status", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ masters: [{ state: "ready", reconnects: 0 }] });
  });
});
