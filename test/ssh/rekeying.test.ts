// New keys on a connection that stands: RekeyLimit of ssh_config, of sshd_config, and both at once.
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { dirname, join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Master } from "../../shared/records.ts";
import { digestOf, digestOfPoured, floodUntilStill, pour } from "../plumbing/pump.ts";
import { certify } from "../support/certificates.ts";
import { manualClock } from "../support/clock.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { startFarEnd } from "../support/far-end.ts";
import { freePort } from "../support/free-port.ts";
import { startInProcess } from "../support/in-process.ts";
import { type Key, makeKey } from "../support/ssh-key.ts";
import { startSshServer, type Switches } from "../support/ssh-server.ts";
import { type Sshd, type SshdOptions, startSshd } from "../support/sshd.ts";
import { dialLoopback, dialPath, echoed, works } from "../support/tcp.ts";
import { tempDir } from "../support/temp-dir.ts";

const MIB = 1024 * 1024;
const OURS = "new keys, asked for by us";
const THEIRS = "new keys, asked for by the server";

const count = (text: string, what: string): number => text.split(what).length - 1;

/** A server with that RekeyLimit, and a daemon that tells of new keys. */
async function world(limit?: string, options: SshdOptions = {}): Promise<{ sshd: Sshd; tund: Tund }> {
  const own = limit === undefined ? [] : [`RekeyLimit ${limit}`];
  const sshd = await startSshd({ config: ["LogLevel DEBUG1", ...own], ...options });
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig, TUND_LOG_LEVEL: "debug" } });
  onTestFinished(async () => {
    await tund.stop();
    await sshd.stop();
  });
  return { sshd, tund };
}

async function forward(tund: Tund, host: string, to: string | number): Promise<number> {
  const port = await freePort();
  const { code, stderr } = await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${to}`, host]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return port;
}

async function stillTheSame(tund: Tund): Promise<void> {
  const { stdout } = await tund.tunctl(["status", "--json"]);
  const { masters } = JSON.parse(stdout) as { masters: Master[] };
  expect(masters).not.toEqual([]);
  for (const master of masters) expect(master).toMatchObject({ state: "ready", reconnects: 0 });
}

/** Sends so many bytes each way on a connection of its own, and compares what comes. */
async function exchange(port: number, size: { up: number; down: number }, next: () => Promise<Socket>) {
  const near = await dialLoopback(port);
  const far = await next();
  const digests = Promise.all([digestOf(far), digestOf(near)]);
  await Promise.all([pour(near, size.up), pour(far, size.down)]);
  expect(await digests).toEqual([digestOfPoured(size.up), digestOfPoured(size.down)]);
  near.destroy();
}

const both = (size: number) => ({ up: size, down: size });

describe("RekeyLimit", () => {
  it.each<[string, Record<string, string>]>([
    ["AES-GCM", { Ciphers: "aes128-gcm@openssh.com" }],
    ["ChaCha20-Poly1305", { Ciphers: "chacha20-poly1305@openssh.com" }],
    ["AES-CTR with a MAC, compressed", { Ciphers: "aes128-ctr", Compression: "yes" }],
  ])(
    "of ssh_config has keys changed under a load both ways, and no byte is lost: %s",
    async (_, settings) => {
      const { sshd, tund } = await world();
      const far = await startFarEnd();
      onTestFinished(() => far.close());
      await sshd.addHost("often", { RekeyLimit: "2M", ...settings });
      const port = await forward(tund, "often", far.port);
      for (let round = 0; round < 40 && count(tund.log(), OURS) < 3; round++)
        await exchange(port, both(12 * MIB), () => far.next());
      // And the server says the same: the first keys, and the new ones.
      await eventually(() => {
        expect(count(tund.log(), OURS)).toBeGreaterThanOrEqual(3);
        expect(count(sshd.log(), "SSH2_MSG_NEWKEYS received")).toBe(count(tund.log(), OURS) + 1);
      });
      expect(count(tund.log(), THEIRS)).toBe(0);
      await stillTheSame(tund);
    },
  );

  it.each([
    ["up", { up: 12 * MIB, down: 0 }],
    ["down", { up: 0, down: 12 * MIB }],
  ])("counts what goes %s alone", async (_, size) => {
    const { sshd, tund } = await world();
    const far = await startFarEnd();
    onTestFinished(() => far.close());
    await sshd.addHost("often", { RekeyLimit: "2M" });
    const port = await forward(tund, "often", far.port);
    for (let round = 0; round < 40 && count(tund.log(), OURS) < 2; round++)
      await exchange(port, size, () => far.next());
    await eventually(() => expect(count(tund.log(), OURS)).toBeGreaterThanOrEqual(2));
  });

  it("of both sides at once, on several connections, one behind another: every byte arrives", async () => {
    const { sshd, tund } = await world("3M");
    const far = await startFarEnd();
    onTestFinished(() => far.close());
    // Settings of their own, or they would share a connection.
    await sshd.addHost("one", { RekeyLimit: "2M" });
    await sshd.addHost("two", { RekeyLimit: "3M" });
    await sshd.addHost("behind", { RekeyLimit: "2M", ProxyJump: "one" });
    const ports = [];
    for (const host of ["one", "two", "behind"]) ports.push(await forward(tund, host, far.port));
    // A far end takes connections in the order in which they are made.
    let turns = Promise.resolve();
    const nextInTurn = async (port: number, size: number) => {
      const before = turns;
      let taken = () => {};
      turns = new Promise((done) => (taken = done));
      await before;
      await exchange(port, both(size), async () => {
        const socket = await far.next();
        taken();
        return socket;
      });
    };
    await Promise.all([...ports, ...ports].map((port) => nextInTurn(port, 24 * MIB)));
    await eventually(() => expect(count(tund.log(), "new keys")).toBeGreaterThanOrEqual(20));
    await stillTheSame(tund);
    for (const port of ports) {
      const near = await dialLoopback(port);
      const there = await far.next();
      near.write("still here");
      expect(String((await once(there, "data"))[0])).toBe("still here");
      near.destroy();
    }
  });

  it("by time has keys changed on a connection that carries nothing", async () => {
    const { sshd, tund } = await world();
    const echo = await echoServer();
    onTestFinished(() => echo.close());
    await sshd.addHost("hourly", { RekeyLimit: "default 1" });
    const port = await forward(tund, "hourly", echo.port);
    const socket = await dialLoopback(port);
    await echoed(socket, "before");
    await eventually(() => expect(count(tund.log(), OURS)).toBeGreaterThanOrEqual(2));
    expect(await echoed(socket, "after")).toBe("after");
    socket.destroy();
    expect(count(sshd.log(), "SSH2_MSG_NEWKEYS received")).toBeGreaterThanOrEqual(3);
    await stillTheSame(tund);
  });

  it.each(["ed25519", "rsa"] as const)("is kept to with a host that has a certificate: %s", async (type) => {
    const home = await tempDir();
    onTestFinished(() => home.remove());
    const authority = await makeKey(join(home.path, "authority"), "ed25519");
    const certificate = (key: Key) => certify(authority, key, { principals: ["127.0.0.1"], isHost: true });
    const { sshd, tund } = await world(undefined, { hostKeyTypes: [type], certify: certificate });
    const known = join(home.path, "known_hosts");
    await writeFile(known, `@cert-authority * ${authority.publicKey}\n`);
    await sshd.addHost("certified", { RekeyLimit: "default 1", UserKnownHostsFile: known });
    const echo = await echoServer();
    onTestFinished(() => echo.close());
    const port = await forward(tund, "certified", echo.port);
    await eventually(() => expect(count(tund.log(), OURS)).toBeGreaterThanOrEqual(2));
    await works(port);
    await stillTheSame(tund);
  });

  it("that nobody wrote leaves a connection alone", async () => {
    const { sshd, tund } = await world();
    const far = await startFarEnd();
    onTestFinished(() => far.close());
    const port = await forward(tund, "testhost", far.port);
    await exchange(port, both(24 * MIB), () => far.next());
    expect(count(tund.log(), "new keys")).toBe(0);
    expect(count(sshd.log(), "SSH2_MSG_NEWKEYS received")).toBe(1);
  });
});

describe("a server that is asked for new keys", () => {
  async function asked(newKeys: Switches["newKeys"]) {
    const clock = manualClock();
    const server = await startSshServer(["RekeyLimit default 10", "ServerAliveInterval 1000"]);
    server.switches.newKeys = newKeys;
    const echo = await echoServer();
    const tund = await startInProcess(server.sshConfig, clock);
    onTestFinished(async () => {
      const ticking = setInterval(() => clock.advance(1000), 5); // or the end would be held up as well
      await tund.close();
      clearInterval(ticking);
      await echo.close();
      await server.close();
    });
    const { registry } = tund;
    const port = await freePort();
    const path = join(dirname(server.sshConfig), "near");
    const forwards = [port, path].map((bind) => ({
      kind: "local" as const,
      spec: `${bind}:127.0.0.1:${echo.port}`,
    }));
    await registry.openForwards({ host: "fake", forwards });
    await works(port);
    const failure = async () => (await registry.master("fake")).failure;
    const state = async () => (await registry.master("fake")).state;
    return { clock, server, port, path, failure, state };
  }

  it("and never answers is given up after two minutes, with the reason", async () => {
    const { clock, failure, state } = await asked("never");
    clock.advance(10_000);
    await turn();
    clock.advance(119_000);
    await turn();
    expect(await state()).toBe("ready");
    clock.advance(1000);
    await eventually(async () => expect(await state()).toBe("waiting"));
    expect(await failure()).toMatchObject({
      code: "CONNECTION_LOST",
      message: expect.stringContaining("no end to the exchange of new keys within 120 s") as string,
    });
  });

  it("holds up who sends meanwhile, instead of keeping all that the channels' windows allow", async () => {
    const { clock, path } = await asked("never");
    // A Unix socket: the system keeps little of what nobody takes.
    const sender = await dialPath(path);
    await echoed(sender, "before");
    clock.advance(10_000);
    // The server has granted 2 MiB.
    expect(await floodUntilStill(sender, 8 * MIB)).toBeLessThan(MIB);
    sender.destroy();
  });

  it("and shows another host key is not believed, and the connection ends", async () => {
    const { clock, failure, state } = await asked("other host key");
    clock.advance(10_000);
    await eventually(async () => expect(await state()).toBe("waiting"));
    expect(await failure()).toMatchObject({
      code: "CONNECTION_LOST",
      message: expect.stringContaining("no new keys: Host denied") as string,
    });
  });

  it("and keeps to its host key goes on as before, also when it asks at the same moment", async () => {
    const { clock, server, port, state } = await asked("exchange");
    for (let round = 1; round <= 6; round++) {
      clock.advance(10_000);
      if (round > 3) server.rekey(); // neither has heard of the other's wish
      await works(port);
      await eventually(() => expect(server.rekeys()).toBe(round));
    }
    expect(await state()).toBe("ready");
  });
});
