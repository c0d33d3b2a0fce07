import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { type ManualClock, manualClock } from "../support/clock.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startInProcess } from "../support/in-process.ts";
import { startSshServer } from "../support/ssh-server.ts";
import { dialLoopback, echoed, endOf, readAll, refuses } from "../support/tcp.ts";

async function world(options: { config?: string[]; clock?: ManualClock } = {}) {
  const server = await startSshServer(options.config);
  const echo = await echoServer();
  const tund = await startInProcess(server.sshConfig, options.clock);
  onTestFinished(async () => {
    // A clock that stands still would hold up the end as well.
    const ticking = setInterval(() => options.clock?.advance(1000), 5);
    await tund.close();
    clearInterval(ticking);
    await echo.close();
    await server.close();
  });
  const { registry } = tund;
  return { server, echo, registry };
}

const local = (bind: number, to: number) => ({ kind: "local" as const, spec: `${bind}:127.0.0.1:${to}` });
const code = (expected: string) => expect.objectContaining({ code: expected }) as Error;

describe("a master", () => {
  it("is dialled once by commands that come at the same time, under any of its names", async () => {
    const { server, registry } = await world();
    const masters = await Promise.all(
      ["fake", "fake-b", "fake", "fake-c"].map((host) => registry.connect(host)),
    );
    expect(masters.every(({ state }) => state === "ready")).toBe(true);
    expect(server.logins()).toBe(1);
    const [master, ...others] = await registry.masters();
    expect(master?.names.sort()).toEqual(["fake", "fake-b", "fake-c"]);
    expect(others).toEqual([]);
  });

  it("is not shared by a name with other options, nor is a name taken from it", async () => {
    const { server, registry } = await world();
    await registry.connect("fake");
    await registry.connect("fake-b", { connection: { options: ["ServerAliveInterval=5"] } });
    expect(server.logins()).toBe(2);
    await expect(
      registry.connect("fake", { connection: { options: ["ServerAliveInterval=5"] } }),
    ).rejects.toThrow(code("HOST_CONFLICT"));
    expect(await registry.masters()).toMatchObject([{ state: "ready" }, { state: "ready" }]);
  });

  it("leaves nothing behind when it cannot log in", async () => {
    const { server, registry } = await world();
    server.switches.authentication = "refuse";
    const port = await freePort();
    await expect(registry.openForwards({ host: "fake", forwards: [local(port, 1)] })).rejects.toThrow(
      code("AUTH_FAILED"),
    );
    expect(await registry.masters()).toEqual([]);
    expect(await registry.forwards()).toEqual([]);
    expect(await refuses(port)).toBe(true);
  });

  it("tells what it offered and what the server accepts when authentication fails", async () => {
    const { server, registry } = await world();
    server.switches.authentication = "refuse";
    await expect(registry.connect("fake")).rejects.toThrow(
      /authentication failed: nobody@127\.0\.0\.1:\d+ accepts publickey; refused: .*\/id \(SHA256:/,
    );
  });

  it("dials again by itself when the link is lost, and its forwards work again on the same port", async () => {
    const clock = manualClock();
    const { server, echo, registry } = await world({ clock });
    const port = await freePort();
    await registry.openForwards({ host: "fake", forwards: [local(port, echo.port)] });
    const before = await dialLoopback(port);
    expect(await echoed(before, "before")).toBe("before");
    const lost = endOf(before);

    server.drop();
    await lost;
    await eventually(async () => expect(await registry.masters()).toMatchObject([{ state: "waiting" }]));
    const [waiting] = await registry.masters();
    expect(waiting).toMatchObject({
      failure: { code: "CONNECTION_LOST" },
      retryAt: new Date(clock.now() + 1000).toISOString(),
    });
    await eventually(async () =>
      expect(await registry.forwards()).toMatchObject([{ state: "active", channels: { open: 0 } }]),
    );
    // No link: accepted, and kept until there is one.
    const after = await dialLoopback(port);
    after.write("parked");
    await eventually(async () =>
      expect(await registry.forwards()).toMatchObject([{ channels: { open: 0, parked: 1 } }]),
    );

    clock.advance(1000);
    await eventually(async () =>
      expect(await registry.masters()).toMatchObject([{ state: "ready", reconnects: 1, retryAt: null }]),
    );
    expect((await once(after, "data")).toString()).toBe("parked");
    expect(await echoed(after, "after")).toBe("after");
    after.destroy();
    expect(server.logins()).toBe(2);
  });

  it("notices a peer that has frozen, by its own keepalive", async () => {
    const clock = manualClock();
    const { server, registry } = await world({
      clock,
      config: ["ServerAliveInterval 10", "ServerAliveCountMax 2"],
    });
    await registry.connect("fake");
    await eventually(async () => expect((await registry.master("fake")).roundTripMs).not.toBeNull());
    clock.advance(10_000);
    await turn();
    server.freeze();
    clock.advance(20_000);
    expect(await registry.masters()).toMatchObject([{ state: "ready" }]);
    clock.advance(10_000);
    await eventually(async () => expect(await registry.masters()).toMatchObject([{ state: "waiting" }]));
    expect((await registry.master("fake")).failure?.message).toContain("no sign of life for 30 s");
  });

  it("is checked on the link itself, with a deadline", async () => {
    const clock = manualClock();
    const { server, registry } = await world({ clock });
    await registry.connect("fake");
    expect((await registry.check("fake")).roundTripMs).toBe(0); // as the test's clock has it
    server.freeze();
    const checked = expect(registry.check("fake")).rejects.toThrow(code("PROBE_TIMEOUT"));
    clock.advance(10_000);
    await checked;
  });

  it("lives on when a channel cannot be opened, and the forward says why", async () => {
    const { server, echo, registry } = await world();
    const [port, good] = [await freePort(), await freePort()];
    await registry.openForwards({
      host: "fake",
      forwards: [local(port, await freePort()), local(good, echo.port)],
    });
    expect(await endOf(await dialLoopback(port))).toBe("end");
    await eventually(async () =>
      expect((await registry.forwards())[0]).toMatchObject({
        state: "active",
        channels: { open: 0, total: 0, failed: 1 },
        failure: {
          code: "CHANNEL_CONNECT_FAILED",
          message: expect.stringContaining("connect failed") as string,
        },
      }),
    );
    const socket = await dialLoopback(good);
    expect(await echoed(socket, "unharmed")).toBe("unharmed");
    socket.destroy();
    expect(server.logins()).toBe(1);
  });

  it("gives what waited for a channel when the link was lost another one on the next link", async () => {
    const { server, echo, registry } = await world();
    server.switches.open = "never";
    const port = await freePort();
    await registry.openForwards({ host: "fake", forwards: [local(port, echo.port)] });
    const socket = await dialLoopback(port);
    await eventually(async () => expect((await registry.master("fake")).channels).toBe(1));
    server.switches.open = "connect";
    server.drop();
    expect(await echoed(socket, "late")).toBe("late");
    socket.destroy();
    await eventually(async () => expect((await registry.master("fake")).channels).toBe(0));
    expect(await registry.forwards()).toMatchObject([{ channels: { failed: 0, total: 1 } }]);
  });

  it("that is stopped takes no forwards, and ends with its last connection", async () => {
    const { echo, registry, server } = await world();
    const port = await freePort();
    await registry.openForwards({ host: "fake", forwards: [local(port, echo.port)] });
    const socket = await dialLoopback(port);
    await echoed(socket, "established");
    expect(await registry.stop("fake")).toMatchObject({ state: "closing", forwards: 0, channels: 1 });
    expect(await refuses(port)).toBe(true);
    await expect(registry.openForwards({ host: "fake", forwards: [local(port, echo.port)] })).rejects.toThrow(
      code("MASTER_CLOSING"),
    );
    expect(await echoed(socket, "still here")).toBe("still here");
    socket.end();
    await readAll(socket);
    await eventually(async () => expect(await registry.masters()).toEqual([]));
    await eventually(() => expect(server.connections()).toBe(0));
  });

  it("that exits while it connects is gone at once", async () => {
    const { server, registry } = await world();
    server.switches.authentication = "never";
    const connecting = expect(registry.connect("fake")).rejects.toThrow(code("MASTER_CLOSING"));
    await eventually(async () => expect(await registry.masters()).toHaveLength(1));
    await registry.exit("fake");
    await connecting;
    expect(await registry.masters()).toEqual([]);
  });

  it("kept by configuration stays when it is refused, and connects when it may", async () => {
    const { server, registry } = await world();
    server.switches.authentication = "refuse";
    registry.keep("fake");
    await eventually(async () =>
      expect(await registry.masters()).toMatchObject([{ state: "failed", failure: { code: "AUTH_FAILED" } }]),
    );
    await expect(registry.connect("fake")).rejects.toThrow(code("AUTH_FAILED"));
    expect(await registry.masters()).toHaveLength(1);
    server.switches.authentication = "accept";
    expect(await registry.connect("fake")).toMatchObject({ state: "ready" });
  });
});

describe("a command that asks for several forwards", () => {
  it("makes all or none, and leaves what stood before", async () => {
    const { echo, registry } = await world();
    const [a, b, c] = [await freePort(), await freePort(), await freePort()];
    await registry.openForwards({ host: "fake", forwards: [local(a, echo.port)] });
    const failed = registry.openForwards({
      host: "fake",
      forwards: [local(a, echo.port), local(b, echo.port), local(echo.port, 1), local(c, 1)],
    });
    await expect(failed).rejects.toThrow(code("BIND_IN_USE"));
    expect(await registry.forwards()).toMatchObject([{ bind: { port: a }, state: "active" }]);
    expect([await refuses(a), await refuses(b), await refuses(c)]).toEqual([false, true, true]);
  });

  it("takes an identical one for a success, also when both come at once", async () => {
    const { echo, registry } = await world();
    const port = await freePort();
    const request = { host: "fake", forwards: [local(port, echo.port)] };
    const answers = await Promise.all([
      registry.openForwards(request),
      registry.openForwards(request),
      registry.openForwards(request),
    ]);
    expect(new Set(answers.flat().map(({ id }) => id)).size).toBe(1);
    expect(answers.flat().every(({ state }) => state === "active")).toBe(true);
    expect(await registry.forwards()).toHaveLength(1);
  });

  it("names the forward that holds a port already", async () => {
    const { echo, registry } = await world();
    const port = await freePort();
    const [first] = await registry.openForwards({ host: "fake", forwards: [local(port, echo.port)] });
    await expect(registry.openForwards({ host: "fake", forwards: [local(port, 1)] })).rejects.toThrow(
      `cannot listen on localhost:${port}: it is held by forward ${first?.id}`,
    );
  });

  it("keeps the name that its user gave to each", async () => {
    const { echo, registry } = await world();
    const [a, b] = [await freePort(), await freePort()];
    await registry.openForwards({ host: "fake", forwards: [local(a, echo.port)] });
    await registry.openForwards({ host: "fake-b", forwards: [local(b, echo.port)] });
    expect((await registry.forwards("fake")).map(({ host }) => host)).toEqual(["fake", "fake-b"]);
    expect(await registry.masters()).toHaveLength(1);
  });

  it("is refused before anything is dialled when it asks for nonsense", async () => {
    const { server, registry } = await world();
    await expect(
      registry.openForwards({ host: "fake", forwards: [local(1, 2), { kind: "dynamic", spec: "1080:a:1" }] }),
    ).rejects.toThrow(code("INVALID_REQUEST"));
    expect(server.logins()).toBe(0);
    expect(await registry.masters()).toEqual([]);
  });
});
