import { once } from "node:events";
import { existsSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund, type Tund, type TundOptions } from "../support/daemon.ts";
import { echoServer, type LoopbackServer, pseudoRandom, sourceServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed, endOf, readAll, refuses } from "../support/tcp.ts";

let sshd: Sshd;
let echo: LoopbackServer;

beforeAll(async () => {
  sshd = await startSshd();
  echo = await echoServer();
});
afterAll(async () => {
  await echo?.close();
  await sshd?.stop();
});

async function daemon(options: TundOptions = {}): Promise<Tund> {
  const tund = await startTund({ ...options, env: { TUND_SSH_CONFIG: sshd.sshConfig, ...options.env } });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

async function forward(tund: Tund, to: number): Promise<number> {
  const port = await freePort();
  expect(await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${to}`, "testhost"])).toMatchObject({
    code: 0,
    stderr: "",
  });
  return port;
}

describe("the end of the daemon", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "by %s closes listeners, lets connections finish, removes the socket, and is 0",
    async (signal) => {
      const source = await sourceServer(30_000_000);
      onTestFinished(() => source.close());
      const tund = await daemon();
      const port = await forward(tund, source.port);
      const socket = await dialLoopback(port);
      await once(socket, "data");
      socket.pause();
      process.kill(tund.pid, signal);
      await eventually(async () => expect(await refuses(port)).toBe(true));
      // Established, and read on only now: the rest still comes.
      await readAll(socket);
      socket.end();
      expect(socket.bytesRead).toBe(30_000_000);
      // SIGCONT asks nothing of it: its end is only waited for.
      expect(await tund.stop("SIGCONT")).toEqual({ code: 0, signal: null });
      expect(existsSync(tund.socket)).toBe(false);
      await eventually(() => expect(sshd.sessions()).toEqual([]));
    },
  );

  it("comes after 5 s at the latest, whatever is still open", async () => {
    const tund = await daemon();
    const port = await forward(tund, echo.port);
    const socket = await dialLoopback(port);
    await echoed(socket, "open");
    const began = performance.now();
    expect(await tund.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeGreaterThan(4000);
    await endOf(socket);
  });

  it("comes at once with a second signal", async () => {
    const tund = await daemon();
    const port = await forward(tund, echo.port);
    await echoed(await dialLoopback(port), "open");
    process.kill(tund.pid, "SIGTERM");
    await eventually(async () => expect(await refuses(port)).toBe(true));
    const began = performance.now();
    expect(await tund.stop()).toEqual({ code: 143, signal: null });
    expect(performance.now() - began).toBeLessThan(3000);
  });
});

describe("the daemon", () => {
  it("connects the hosts that TUND_CONNECT names, and keeps asking for those that are not there yet", async () => {
    await sshd.addHost("down", { Port: await freePort() });
    const tund = await daemon({ env: { TUND_CONNECT: "testhost down" } });
    await eventually(async () => {
      const { stdout } = await tund.tunctl(["status", "--json"]);
      const { masters } = JSON.parse(stdout) as {
        masters: { host: string; state: string; failure: { code: string } | null }[];
      };
      const named = Object.fromEntries(masters.map((master) => [master.host, master]));
      expect(named).toMatchObject({
        testhost: { state: "ready" },
        down: { state: "waiting", failure: { code: "HOST_UNREACHABLE" } },
      });
    });
  });

  it("outlives the death of a master under load, and its forwards work again", async () => {
    const source = await sourceServer(1_000_000_000);
    onTestFinished(() => source.close());
    const own = await startSshd();
    onTestFinished(() => own.stop());
    const tund = await daemon({ env: { TUND_SSH_CONFIG: own.sshConfig } });
    const [down, both] = [await forward(tund, source.port), await forward(tund, echo.port)];
    const downloads = await Promise.all([1, 2, 3].map(() => dialLoopback(down)));
    const uploads = await Promise.all([1, 2, 3].map(() => dialLoopback(both)));
    const ends = [...downloads, ...uploads].map((socket) => endOf(socket));
    for (const socket of uploads)
      pipeline(Readable.from(pseudoRandom(1_000_000_000)), socket).catch(() => undefined);
    await eventually(() => expect(downloads.every(({ bytesRead }) => bytesRead > 1_000_000)).toBe(true));
    await eventually(() => expect(uploads.every(({ bytesRead }) => bytesRead > 1_000_000)).toBe(true));
    own.dropSessions();
    await Promise.all(ends);
    await eventually(async () => {
      const socket = await dialLoopback(both);
      expect(await echoed(socket, "again")).toBe("again");
      socket.destroy();
    });
    const { stdout } = await tund.tunctl(["status", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      daemon: { pid: tund.pid },
      masters: [{ state: "ready", reconnects: 1 }],
    });
    expect(tund.log()).not.toContain("cannot go on");
  });

  it("is checked and stopped and exited by name, and says so in words and codes", async () => {
    const tund = await daemon();
    expect(await tund.tunctl(["check"])).toMatchObject({ code: 2 });
    expect(await tund.tunctl(["connect", "testhost"])).toMatchObject({ code: 0, stderr: "" });
    expect(await tund.tunctl(["check"])).toMatchObject({
      code: 0,
      stdout: `Master running (pid=${tund.pid})\n`,
    });
    expect(await tund.tunctl(["exit"])).toMatchObject({ code: 0, stderr: "" });
    expect(await tund.tunctl(["check", "testhost"])).toMatchObject({ code: 4 });
    expect(await tund.tunctl(["stop", "testhost"])).toMatchObject({ code: 4 });
    await eventually(() => expect(sshd.sessions()).toEqual([]));
  });

  it("that is not there is told with what to do, and exit code 3", async () => {
    const { code, stderr } = await run(process.execPath, [
      "dist/tunctl.cjs",
      "--socket",
      "/nonexistent/s",
      "list",
    ]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^tunctl: no daemon answers on \/nonexistent\/s: start it with 'tund'/);
  });
});
