// What networks do, by a proxy that stands for one.
import { describe, expect, it } from "vitest";
import { dialLoopback, echoed, endOf, works } from "../support/tcp.ts";
import { type Proxy, startProxy } from "./proxy.ts";
import { report, startWorld, type WorldOptions } from "./world.ts";

const quick = { ServerAliveInterval: 1, ServerAliveCountMax: 2 };

async function behindProxy(settings: WorldOptions["settings"] = {}) {
  let proxy: Proxy | undefined;
  const world = await startWorld({
    settings,
    port: async (sshd) => {
      proxy = await startProxy(sshd.port);
      return proxy.port;
    },
  });
  if (proxy === undefined) throw new Error("there is no proxy");
  return { world, proxy };
}

describe("a network", () => {
  it("that resets the connection is noticed at once", async () => {
    const { world, proxy } = await behindProxy();
    const began = performance.now();
    proxy.reset();
    const noticed = await world.seen("waiting", began);
    const serving = await world.serving();
    expect(await world.victim()).toMatchObject({ state: "ready", failure: { code: "CONNECTION_LOST" } });
    report("connection reset", { "noticed after": noticed - began, "serving after": serving - noticed });
  });

  it("that swallows everything is noticed by keepalive, in the middle of a transfer too", async () => {
    const { world, proxy } = await behindProxy(quick);
    const busy = await dialLoopback(world.local);
    expect(await echoed(busy, "busy")).toBe("busy");
    busy.write(Buffer.alloc(8_000_000));
    const over = endOf(busy);
    const began = performance.now();
    proxy.freeze();
    const noticed = await world.seen("waiting", began);
    await over;
    proxy.thaw();
    const thawed = performance.now();
    const serving = await world.serving();
    report("black hole (keepalive 1 s x 2)", {
      "noticed after": noticed - began,
      "serving after it was over": serving - thawed,
    });
  });

  it("that refuses us for a while is asked again and again, further and further apart", async () => {
    const { world, proxy } = await behindProxy();
    await proxy.cut();
    const began = performance.now();
    await world.seen("waiting", 0);
    await world.seen("connecting", 0);
    // Its first attempt has failed by then.
    await world.seen("waiting", (await world.seen("connecting", 0)) + 1);
    await proxy.mend();
    const mended = performance.now();
    const serving = await world.serving();
    expect(await world.victim()).toMatchObject({ reconnects: 1, failure: { code: "HOST_UNREACHABLE" } });
    report("link cut and mended", {
      "cut for": mended - began,
      "serving after it was mended": serving - mended,
    });
  });

  it("that is slow loses nothing, and is not taken for a dead one", async () => {
    const { world, proxy } = await behindProxy(quick);
    proxy.delay(700);
    const began = performance.now();
    await works(world.local);
    await works(world.remote);
    report("every piece held up 700 ms", { "one echo each way took": performance.now() - began });
    const { stdout } = await world.tund.tunctl(["check", "-v", "victim"]);
    expect(Number(/round trip ([\d.]+)ms/.exec(stdout)?.[1])).toBeGreaterThan(1300);
    expect(await world.victim()).toMatchObject({ state: "ready", reconnects: 0 });
    expect(proxy.total()).toBe(1);
  });

  it("that holds up a login before the server has said its version ends the attempt by ConnectTimeout", async () => {
    const { world, proxy } = await behindProxy({ ConnectTimeout: 1 });
    proxy.freeze();
    const began = performance.now();
    const { code, stderr } = await world.tund.tunctl(["reconnect", "victim"]);
    expect({ code, stderr }).toEqual({ code: 8, stderr: expect.stringContaining("within 1 s") as string });
    report("no answer to a login (ConnectTimeout 1)", { "given up after": performance.now() - began });
    proxy.thaw();
    await world.serving();
  });
});
