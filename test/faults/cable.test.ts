// A cable between two networks that is pulled and plugged in, and one that swallows: the real thing, in namespaces.
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { hearEvents } from "../../cli/event-stream.ts";
import { atPath } from "../support/at-path.ts";
import { startTund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { type Cable, makeCable, whyNoNamespaces } from "../support/namespaces.ts";
import { startSshd } from "../support/sshd.ts";
import { dialPath, echoed } from "../support/tcp.ts";
import { report } from "./world.ts";

const why = whyNoNamespaces();
if (why !== undefined) console.log(`skipped: a cable that is pulled, since ${why}`);

/** tund at one end and an sshd at the other; what is forwarded are paths, which every network shares. */
async function world(settings: Readonly<Record<string, number>> = {}) {
  const cable: Cable = makeCable();
  const sshd = await startSshd({ network: { within: cable.far, address: cable.address } });
  await sshd.addHost("victim", settings);
  const [there, here] = [join(sshd.directory, "echo.sock"), join(sshd.directory, "here.sock")];
  const echo = await echoServer({ path: there });
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig }, within: cable.near });
  const ended = new AbortController();
  onTestFinished(async () => {
    ended.abort();
    await tund.stop("SIGKILL");
    await Promise.all([sshd.stop(), echo.close()]);
  });
  const made = await tund.tunctl(["forward", "-L", `${here}:${there}`, "victim"]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  const states: { at: number; state: string }[] = [];
  const hear = hearEvents(atPath(tund.socket), {
    host: "victim",
    signal: ended.signal,
    hear: (event) => {
      if (event.type === "snapshot") states.push({ at: 0, state: "heard" });
      if (event.type === "master") states.push({ at: performance.now(), state: event.master.state });
      return true;
    },
  });
  hear.catch(() => undefined); // the daemon has ended, or the test has
  await eventually(() => states.length > 0);
  return {
    cable,
    tund,
    seen: (state: string, since: number, deadlineMs = 25_000) =>
      eventually(() => states.find((one) => one.state === state && one.at >= since)?.at ?? false, {
        deadlineMs,
      }),
    works: async () => {
      const socket = await dialPath(here);
      expect(await echoed(socket, "through")).toBe("through");
      socket.destroy();
      return performance.now();
    },
    states: () => states.map(({ state }) => state),
  };
}

describe.skipIf(why !== undefined)("a cable", () => {
  it("that is pulled is noticed long before keepalive would, and served when it is plugged in", async () => {
    const { cable, seen, works } = await world(); // 15 s x 3: a minute
    await works();
    const pulled = performance.now();
    cable.unplug();
    const noticed = await seen("waiting", pulled);
    expect(noticed - pulled).toBeLessThan(20_000);
    const parked = works();
    cable.plug();
    const plugged = performance.now();
    await parked;
    report("cable pulled and plugged in (keepalive 15 s x 3)", {
      "noticed after": noticed - pulled,
      "serving after it was plugged in": performance.now() - plugged,
    });
  });

  it("that swallows everything, and says nothing, is noticed by keepalive", async () => {
    const { cable, seen, states, works } = await world({ ServerAliveInterval: 1, ServerAliveCountMax: 2 });
    await works();
    const began = performance.now();
    cable.swallow();
    const noticed = await seen("waiting", began);
    cable.release();
    const over = performance.now();
    await seen("ready", noticed);
    await works();
    expect(states()).toEqual(expect.arrayContaining(["waiting", "connecting", "ready"]));
    report("route that swallows (keepalive 1 s x 2)", {
      "noticed after": noticed - began,
      "serving after it was over": performance.now() - over,
    });
  });

  it("that is pulled for a moment loses nothing, and a change of address alone harms no link", async () => {
    const { cable, tund, works, states } = await world();
    cable.unplug();
    cable.plug();
    await works();
    cable.addAddress();
    await eventually(() =>
      expect(tund.log()).toContain("routes changed: asking every link for a sign of life"),
    );
    // Answers come in order: once this one is there, so is the one that was asked for.
    expect(await tund.tunctl(["check", "victim"])).toMatchObject({ code: 0 });
    await works();
    expect(states()).toEqual(["heard"]);
  });
});
