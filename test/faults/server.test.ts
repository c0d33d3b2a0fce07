// What servers do to those who rely on them.
import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { dialLoopback, echoed, endOf, works } from "../support/tcp.ts";
import { report, startWorld } from "./world.ts";

// Noticed in 3 s at most: 1 s x (2 + 1).
const quick = { ServerAliveInterval: 1, ServerAliveCountMax: 2 };

describe("a server", () => {
  it("that drops its sessions is noticed at once, and served again", async () => {
    const world = await startWorld();
    const held = await dialLoopback(world.local);
    expect(await echoed(held, "held")).toBe("held");
    const over = endOf(held);
    const began = performance.now();
    world.sshd.dropSessions();
    const noticed = await world.seen("waiting", began);
    await over;
    const ready = await world.seen("ready", noticed);
    const serving = await world.serving();
    report("sessions killed", {
      "noticed after": noticed - began,
      "dialled again after": ready - noticed,
      "serving after": serving - ready,
    });
    expect(await world.victim()).toMatchObject({ state: "ready", reconnects: 1, retryAt: null });
    expect(await world.victim()).toMatchObject({ failure: { code: "CONNECTION_LOST" } });
  });

  it("that is down refuses us until it is up, while connections here wait for it", async () => {
    const world = await startWorld();
    const began = performance.now();
    await world.sshd.down();
    const noticed = await world.seen("waiting", began);
    // Asking how things are never waits for a link.
    expect(await world.victim()).toMatchObject({
      state: expect.stringMatching(/waiting|connecting/) as string,
    });
    expect(await world.forwards()).toMatchObject([{ state: "active" }, { state: "pending" }]);
    const parked = await dialLoopback(world.local);
    const answer = echoed(parked, "parked");
    // At least one attempt is refused, and says so.
    await eventually(async () =>
      expect(await world.victim()).toMatchObject({ failure: { code: "HOST_UNREACHABLE" } }),
    );
    await world.sshd.up();
    const restored = performance.now();
    expect(await answer).toBe("parked");
    parked.destroy();
    const serving = await world.serving();
    report("server down and up", {
      "noticed after": noticed - began,
      "serving after it was up": serving - restored,
    });
  });

  it("that is frozen is noticed by keepalive, and served again when it thaws", async () => {
    const world = await startWorld({ settings: quick });
    await works(world.local);
    const began = performance.now();
    world.sshd.freeze();
    const noticed = await world.seen("waiting", began);
    expect(noticed - began).toBeLessThan(10_000);
    expect(await world.victim()).toMatchObject({
      failure: { code: "CONNECTION_LOST", message: expect.stringContaining("no sign of life") as string },
    });
    world.sshd.thaw();
    const thawed = performance.now();
    const serving = await world.serving();
    report("server frozen (keepalive 1 s x 2)", {
      "noticed after": noticed - began,
      "serving after it thawed": serving - thawed,
    });
  });

  it("whose dead session still holds the port of a remote forward is asked until it lets go, and the others have theirs", async () => {
    const world = await startWorld({ settings: quick });
    // The sessions freeze, the server does not: it takes the next one while the first still listens.
    const began = performance.now();
    world.sshd.freezeSessions();
    await world.seen("waiting", began);
    await eventually(async () =>
      expect(await world.forwards()).toMatchObject([
        { state: "active" },
        {
          state: "failed",
          failure: {
            code: "FORWARD_REFUSED",
            message: expect.stringContaining("it was ours before") as string,
          },
          retryAt: expect.stringMatching(/Z$/) as string,
        },
      ]),
    );
    await works(world.local);
    const released = performance.now();
    world.sshd.dropFrozenSessions();
    const serving = await world.serving();
    report("port held by our dead session", { "serving after it let go": serving - released });
    expect(await world.forwards()).toMatchObject([
      { state: "active" },
      { state: "active", retryAt: null, failure: { code: "FORWARD_REFUSED" } },
    ]);
  });

  it.each([
    ["no", "failed", /socket file may be in the way/],
    ["yes", "active", /^$/],
  ])(
    "whose dead session left a Unix socket behind is told apart (StreamLocalBindUnlink %s)",
    async (unlink, state, message) => {
      const world = await startWorld({ sshd: { config: [`StreamLocalBindUnlink ${unlink}`] } });
      const path = world.path("there.sock");
      const spec = ["-R", `${path}:127.0.0.1:${world.local}`, "--name", "there"];
      expect(await world.tund.tunctl(["forward", ...spec, "victim"])).toMatchObject({ code: 0, stderr: "" });
      const began = performance.now();
      world.sshd.dropSessions();
      await world.seen("ready", await world.seen("waiting", began));
      expect(await world.tund.tunctl(["wait", "there", "--for", state, "--timeout", "20"])).toMatchObject({
        code: 0,
      });
      const there = (await world.forwards()).find(({ name }) => name === "there");
      expect(there?.failure?.message ?? "").toMatch(message);
      // The others are not kept from theirs.
      await world.serving();
    },
  );

  it("that takes few logins at once gets all masters in the end", async () => {
    const world = await startWorld({ sshd: { config: ["MaxStartups 1:50:2", "PerSourceMaxStartups 2"] } });
    const hosts = Array.from({ length: 12 }, (_, index) => `crowd-${index}`);
    // Each is a connection of its own.
    for (const [index, host] of hosts.entries())
      await world.addHost(host, { ServerAliveInterval: 100 + index });
    const began = performance.now();
    const started = hosts.map((host) =>
      world.tund.tunctl(["forward", "--no-wait", "-D", world.path(host), host]),
    );
    for (const { code, stderr } of await Promise.all(started))
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const waits = hosts.map((host) =>
      world.tund.tunctl(["wait", host, "--timeout", "60"], { deadlineMs: 70_000 }),
    );
    for (const { code, stderr } of await Promise.all(waits))
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    report("12 masters, 2 logins at once", { "all ready after": performance.now() - began });
  });
});
