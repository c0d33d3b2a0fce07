// How a forward may be asked for, and what becomes of connections while it waits for its link.
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startHome } from "../support/home.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed, endOf, refuses, works } from "../support/tcp.ts";

let sshd: Sshd;
let echo: LoopbackServer;
const to = () => `127.0.0.1:${echo.port}`;
const home = () => startHome({ TUND_SSH_CONFIG: sshd.sshConfig });

beforeAll(async () => {
  sshd = await startSshd();
  echo = await echoServer();
});
afterAll(async () => {
  await echo?.close();
  await sshd?.stop();
});

describe("a forward", () => {
  it("is recorded without waiting, and is there when its host is", async () => {
    const { start, saved } = await home();
    const own = await startSshd();
    onTestFinished(() => own.stop());
    const tund = await start({ TUND_SSH_CONFIG: own.sshConfig });
    await own.down();
    const [here, there] = [await freePort(), await freePort()];
    const specs = ["-L", `${here}:${to()}`, "-R", `${there}:${to()}`];
    await tund.ok("forward", "--no-wait", ...specs, "testhost");
    expect(saved().hosts).toMatchObject([{ forwards: [{}, {}] }]);
    await eventually(async () =>
      expect(await tund.forwards()).toMatchObject([{ state: "active" }, { state: "pending" }]),
    );
    await own.up();
    await tund.ok("reconnect", "testhost");
    await eventually(async () => expect(await tund.forwards()).toMatchObject([{}, { state: "active" }]));
    await works(here);
    await works(there);
  });

  it("that is not there in time is given up, and nothing of it is left", async () => {
    const { start, state } = await home();
    const own = await startSshd();
    onTestFinished(() => own.stop());
    const tund = await start({ TUND_SSH_CONFIG: own.sshConfig });
    own.freeze();
    onTestFinished(() => own.thaw());
    const port = await freePort();
    const late = await tund.tunctl(["forward", "--timeout", "1", "-L", `${port}:${to()}`, "testhost"]);
    expect(late).toMatchObject({ code: 8, stderr: expect.stringContaining("within 1 s") as string });
    expect(await refuses(port)).toBe(true);
    expect(await tund.forwards()).toEqual([]);
    expect(await tund.masters()).toEqual([]);
    expect(existsSync(state)).toBe(false);
  });

  it("has its name for itself", async () => {
    const { start } = await home();
    const tund = await start();
    const [a, b] = [await freePort(), await freePort()];
    await tund.ok("forward", "--name", "db", "-L", `${a}:${to()}`, "testhost");
    const taken = await tund.tunctl(["forward", "--name", "db", "-L", `${b}:${to()}`, "testhost"]);
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining("db is the name of") as string });
    const two = ["forward", "--name", "x", "-L", `${b}:${to()}`, "-D", String(await freePort()), "testhost"];
    expect(await tund.tunctl(two)).toMatchObject({ code: 2 });
    // The same forward may be renamed; its id stands for it too.
    await tund.ok("forward", "--name", "base", "-L", `${a}:${to()}`, "testhost");
    const [forward] = await tund.forwards();
    expect(forward?.name).toBe("base");
    await tund.ok("cancel", forward?.id ?? "");
    expect(await tund.forwards()).toEqual([]);
  });

  it("whose port is taken heals when it is free, and names its holder until then", async () => {
    const { start } = await home();
    const first = await start();
    const port = await freePort();
    await first.ok("forward", "--name", "p", "-L", `127.0.0.1:${port}:${to()}`, "testhost");
    await first.stop();
    const rival = await echoServer({ port });
    const second = await start();
    await eventually(async () =>
      expect(await second.forwards()).toMatchObject([
        {
          state: "failed",
          failure: { code: "BIND_IN_USE", message: expect.stringContaining(`pid ${process.pid}`) as string },
          retryAt: expect.stringMatching(/Z$/) as string,
        },
      ]),
    );
    await rival.close();
    await eventually(async () =>
      expect(await second.forwards()).toMatchObject([
        { state: "active", retryAt: null, failure: { code: "BIND_IN_USE" } },
      ]),
    );
    await works(port);
  });

  it("on demand connects its host for the first connection, and lets go of it when it is idle", async () => {
    const { start } = await home();
    const first = await start();
    const port = await freePort();
    const demand = ["--on-demand", "--idle", "1", "-L", `${port}:${to()}`];
    await first.ok("forward", ...demand, "testhost");
    expect(await first.masters()).toMatchObject([{ state: "idle", server: null }]);
    await works(port);
    expect(await first.masters()).toMatchObject([{ state: "ready" }]);
    await eventually(async () => expect(await first.masters()).toMatchObject([{ state: "idle" }]));
    // As long as there is a channel it stays, whenever the one before it ended.
    await works(port);
    await eventually(async () => expect(await first.forwards()).toMatchObject([{ channels: { open: 0 } }]));
    const socket = await dialLoopback(port);
    expect(await echoed(socket, "first")).toBe("first");
    const begun = performance.now();
    await eventually(() => performance.now() - begun > 1500);
    expect(await echoed(socket, "still")).toBe("still");
    await first.stop("SIGKILL");
    await endOf(socket);

    const second = await start();
    await eventually(async () =>
      expect(await second.forwards()).toMatchObject([{ state: "active", onDemand: true, idleSeconds: 1 }]),
    );
    expect(await second.masters()).toMatchObject([{ state: "idle" }]);
    await works(port);
    await second.ok("cancel", "-L", String(port), "testhost");
    const remote = ["forward", "--on-demand", "-R", `0:${to()}`, "testhost"];
    expect(await second.tunctl(remote)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("cannot be on demand") as string,
    });
  });
});

describe("a connection that comes while the link is away", () => {
  it("waits for it, up to a number and a time", async () => {
    const { start } = await home();
    const own = await startSshd();
    onTestFinished(() => own.stop());
    const tund = await start({ TUND_SSH_CONFIG: own.sshConfig, TUND_PARK_SECONDS: "20", TUND_PARK_MAX: "2" });
    const port = await freePort();
    await tund.ok("forward", "-L", `${port}:${to()}`, "testhost");
    await own.down();
    await eventually(async () => expect((await tund.masters())[0]?.state).not.toBe("ready"));
    const parked = [await dialLoopback(port), await dialLoopback(port)];
    for (const socket of parked) socket.write("waited");
    await eventually(async () => expect(await tund.forwards()).toMatchObject([{ channels: { parked: 2 } }]));
    expect(await endOf(await dialLoopback(port))).toBe("end"); // no place left
    expect(await tund.forwards()).toMatchObject([{ state: "active", channels: { parked: 2, failed: 1 } }]);
    await own.up();
    const answers = parked.map((socket) => echoed(socket, " long"));
    await tund.ok("reconnect", "testhost");
    for (const answer of answers) expect(await answer).toContain("waite");
    parked.forEach((socket) => socket.destroy());
    expect(await tund.forwards()).toMatchObject([{ channels: { parked: 0, failed: 1, total: 2 } }]);
  });

  it("is refused after TUND_PARK_SECONDS, or at once where that is 0", async () => {
    const { start } = await home();
    const own = await startSshd();
    onTestFinished(() => own.stop());
    for (const [seconds, least] of [
      ["1", 900],
      ["0", 0],
    ] as const) {
      if (least === 0) await own.up();
      const tund = await start({ TUND_SSH_CONFIG: own.sshConfig, TUND_PARK_SECONDS: seconds });
      const port = await freePort();
      await tund.ok("forward", "-L", `${port}:${to()}`, "testhost");
      await own.down();
      await eventually(async () => expect((await tund.masters())[0]?.state).not.toBe("ready"));
      const began = performance.now();
      expect(await endOf(await dialLoopback(port))).toBe("end");
      expect(performance.now() - began).toBeGreaterThanOrEqual(least);
      await tund.ok("exit", "testhost");
      await tund.stop();
    }
  });
});
