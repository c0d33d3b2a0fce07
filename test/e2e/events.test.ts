// What is told while it happens: tunctl events and tunctl wait.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Event } from "../../shared/records.ts";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed, endOf } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;
const to = () => `127.0.0.1:${tunnel.echo.port}`;

beforeAll(async () => {
  tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

/** Runs `tunctl events --json`, and collects what it says. */
function listen(socket: string, ...args: string[]) {
  const child = spawn(process.execPath, ["dist/tunctl.cjs", "--socket", socket, "events", "--json", ...args]);
  onTestFinished(() => void child.kill());
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const heard = () =>
    text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Event);
  return { heard, ended: once(child, "close") as Promise<[number]> };
}

const states = (events: readonly Event[]) =>
  events.flatMap((event) => {
    if (event.type === "master") return `master ${event.master.state}`;
    return event.type === "forward" ? `${event.forward.kind} ${event.forward.state}` : event.type;
  });

describe("tunctl events", () => {
  it("tells how everything is, then every change, in order and without a gap", async () => {
    const own = await startSshd();
    const tund = await startTund({ env: { TUND_SSH_CONFIG: own.sshConfig } });
    onTestFinished(async () => {
      await tund.stop();
      await own.stop();
    });
    const [a, b] = [await freePort(), await freePort()];
    await tund.tunctl(["forward", "-L", `${a}:${to()}`, "testhost"]);
    const { heard, ended } = listen(tund.socket);
    await eventually(() => expect(states(heard())).toEqual(["snapshot"]));
    expect(heard()[0]).toMatchObject({
      seq: 0,
      masters: [{ host: "testhost", state: "ready" }],
      forwards: [{ state: "active", spec: `${a}:${to()}` }],
    });
    await tund.tunctl(["forward", "-R", `${b}:${to()}`, "testhost"]);
    // Connections are counted, and are no events.
    const socket = await dialLoopback(a);
    expect(await echoed(socket, "counted")).toBe("counted");
    socket.destroy();
    own.dropSessions();
    await eventually(() =>
      expect(states(heard()).filter((state) => state === "remote active")).toHaveLength(3),
    );
    await tund.tunctl(["cancel", "-L", String(a), "testhost"]);
    await tund.tunctl(["exit", "testhost"]);
    await eventually(() => expect(states(heard()).at(-1)).toBe("master closed"));
    expect(states(heard())).toEqual([
      "snapshot",
      "remote pending",
      "remote active",
      "remote active", // persistent now
      "remote pending",
      "master waiting",
      "master connecting",
      "master ready",
      "remote active",
      "local closing",
      "local closed",
      "master closing",
      "remote closing",
      "remote closed",
      "master closed",
    ]);
    expect(heard().map(({ seq }) => seq)).toEqual(heard().map((_, index) => index));
    await tund.stop();
    expect(await ended).toEqual([3, null]);
  });

  it("tells of one host alone, and prints lines for people", async () => {
    await tunnel.sshd.addHost("quiet", { ServerAliveInterval: 11 });
    await tunnel.ok("connect", "testhost");
    await tunnel.ok("connect", "quiet");
    onTestFinished(async () => void (await tunnel.tund.tunctl(["exit", "quiet"])));
    const quiet = listen(tunnel.tund.socket, "quiet");
    await eventually(() => expect(quiet.heard()).toMatchObject([{ masters: [{ host: "quiet" }] }]));
    await tunnel.ok("reconnect", "testhost");
    await tunnel.ok("reconnect", "quiet");
    await eventually(() =>
      expect(states(quiet.heard())).toEqual([
        "snapshot",
        "master waiting",
        "master connecting",
        "master ready",
      ]),
    );
    const lines = spawn(process.execPath, [
      "dist/tunctl.cjs",
      "--socket",
      tunnel.tund.socket,
      "events",
      "quiet",
    ]);
    onTestFinished(() => void lines.kill());
    const [line] = (await once(lines.stdout, "data")) as [Buffer];
    expect(line.toString()).toMatch(/^[\d:.TZ-]+ {2}master {3}quiet {2}ready\n$/);
    const unknown = await tunnel.tund.tunctl(["events", "nobody"]);
    expect(unknown).toMatchObject({ code: 4 });
  });

  it("lets go of a reader that is too slow, and tells it so", async () => {
    const asked = request({ socketPath: tunnel.tund.socket, path: "/v1/events", agent: false });
    asked.end();
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    answer.pause();
    onTestFinished(() => void answer.destroy());
    // Long specs, set up and cancelled until the bound has been reached.
    const specs: string[] = [];
    for (let n = 0; n < 100; n++)
      specs.push("-L", `${tunnel.sshd.directory}/${n}.sock:/${"x".repeat(90)}${n}`);
    for (let round = 0; round < 12; round++) {
      await tunnel.ok("forward", "--ephemeral", ...specs, "testhost");
      await tunnel.ok("cancel", "--all", "testhost");
    }
    let text = "";
    answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    answer.resume();
    await once(answer, "end");
    const events = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Event);
    expect(events.at(-1)).toMatchObject({ type: "overrun", seq: events.length - 1 });
    expect(text.length).toBeLessThan(4_000_000);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index));
  });
});

describe("tunctl wait", () => {
  it("returns when a forward or a host is there, and says why it will not be", async () => {
    const own = await startSshd();
    const tund = await startTund({ env: { TUND_SSH_CONFIG: own.sshConfig } });
    onTestFinished(async () => {
      await tund.stop();
      await own.stop();
    });
    await own.down();
    const port = await freePort();
    await tund.tunctl(["forward", "--no-wait", "--name", "back", "-R", `${port}:${to()}`, "testhost"]);
    expect(await tund.tunctl(["wait", "back", "--timeout", "1"])).toMatchObject({
      code: 8,
      stderr: "tunctl: back was not active within 1 s\n",
    });
    expect(await tund.tunctl(["wait", "testhost", "--for", "waiting"])).toMatchObject({ code: 0 });
    const waits = Promise.all([
      tund.tunctl(["wait", "testhost", "--timeout", "20"]),
      tund.tunctl(["wait", "back", "--timeout", "20"]),
    ]);
    await own.up();
    for (const outcome of await waits) expect(outcome).toMatchObject({ code: 0, stdout: "", stderr: "" });
    const socket = await dialLoopback(port);
    expect(await echoed(socket, "there")).toBe("there");
    const gone = tund.tunctl(["wait", "back", "--for", "failed"]);
    await tund.tunctl(["exit", "testhost"]);
    await endOf(socket);
    expect(await gone).toMatchObject({ code: 4 });
    expect(await tund.tunctl(["wait", "nobody"])).toMatchObject({ code: 4 });
    expect(await tund.tunctl(["wait"])).toMatchObject({ code: 2 });
  });

  it("ends with the reason when a host was refused for good", async () => {
    const own = await startSshd({ authorizedKeys: () => [] });
    const tund = await startTund({ env: { TUND_SSH_CONFIG: own.sshConfig, TUND_CONNECT: "testhost" } });
    onTestFinished(async () => {
      await tund.stop();
      await own.stop();
    });
    expect(await tund.tunctl(["wait", "testhost", "--timeout", "20"])).toMatchObject({ code: 7 });
    expect(await tund.tunctl(["wait", "testhost", "--for", "nonsense"])).toMatchObject({ code: 2 });
    expect(await tund.tunctl(["wait", "testhost", "--for", "failed"])).toMatchObject({ code: 0 });
  });
});
