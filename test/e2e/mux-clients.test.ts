// Mux sockets under clients that are many, odd, hostile, stuck or dead; and over servers that refuse, or say nothing.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { decode } from "../../daemon/mux/protocol.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { HELLO, packet, rawClient, seen } from "../support/mux.ts";
import { run } from "../support/run.ts";
import { refuses } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

const OK = 0x80000001;
const FAILURE = 0x80000003;
const ALIVE = 0x80000005;

let tunnel: Tunnel;
let path: string;

beforeAll(async () => {
  tunnel = await startTunnel();
  await tunnel.ok("connect", "testhost");
  path = (await tunnel.master())?.muxSocket ?? "";
});
afterAll(() => tunnel?.stop());

const alive = packet(0x10000004, 0);
const forward = (id: number, port: number): Buffer =>
  packet(0x10000006, id, 1, "127.0.0.1", port, "127.0.0.1", tunnel.echo.port);

/** Still there for everybody else. */
async function isWell(): Promise<void> {
  const { code, stderr } = await run("ssh", ["-S", path, "-O", "check", "x"]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
}

/** Greets, and gives what follows the master's greeting. */
async function greeted() {
  const client = await rawClient(path);
  client.socket.write(HELLO);
  expect((await client.next())?.readUInt32BE()).toBe(1);
  return client;
}

const typeOf = (reply: Buffer | null) => reply?.readUInt32BE() ?? null;

describe("a mux socket's clients", () => {
  it("are greeted unasked, and answered one after the other, each with its own id", async () => {
    const { socket, next } = await greeted();
    const port = await freePort();
    const requests = [
      packet(0x10000004, 5),
      forward(5, port),
      packet(0x12345678, 77),
      packet(0x10000002, 1, "", 0, 0, 0, 0, 0xffffffff, "xterm", "ls"),
      Buffer.alloc(3), // the descriptors that follow a session
      packet(0x10000007, 9, 1, "127.0.0.1", port, "127.0.0.1", tunnel.echo.port),
      packet(0x20000001, 10, "channels"),
      packet(0x20000001, 11, "weather"),
    ];
    socket.write(Buffer.concat(requests));
    const replies: [number | undefined, number | undefined][] = [];
    for (let n = 0; n < 7; n++) {
      const reply = await next();
      replies.push([reply?.readUInt32BE(), reply?.readUInt32BE(4)]);
    }
    expect(replies).toEqual([
      [ALIVE, 5],
      [OK, 5],
      [FAILURE, 77],
      [FAILURE, 1],
      [OK, 9],
      [0x90000001, 10],
      [0x90000001, 11],
    ]);
    socket.destroy();
  });

  it("are answered the same however their bytes are cut", async () => {
    const bytes = Buffer.concat([HELLO, alive, packet(0x12345678, 3, "x")]);
    for (let cut = 1; cut < bytes.length; cut++) {
      const { socket, next } = await rawClient(path);
      socket.setNoDelay(true);
      socket.write(bytes.subarray(0, cut));
      await new Promise((resolve) => void setImmediate(resolve));
      socket.write(bytes.subarray(cut));
      expect([typeOf(await next()), typeOf(await next()), typeOf(await next())]).toEqual([1, ALIVE, FAILURE]);
      socket.destroy();
    }
  });

  it.each([
    ["no HELLO first", () => alive],
    ["a second HELLO", () => Buffer.concat([HELLO, HELLO])],
    ["another version", () => packet(1, 5)],
    ["a packet that is too long", () => Buffer.concat([HELLO, Buffer.from([0, 4, 0, 1])])],
    ["nothing that makes sense", () => Buffer.concat([HELLO, packet(0x10000006, 1, 1)])],
    ["HTTP", () => Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ])("are dropped for %s, and nobody else is", async (_, bytes) => {
    const { socket, next } = await rawClient(path);
    socket.write(bytes());
    expect(typeOf(await next())).toBe(1);
    expect(await next()).toBeNull();
    await isWell();
  });

  it("may send anything at all: it is answered or dropped", async () => {
    const valid = [alive, forward(1, 1), packet(0x20000001, 1, "channels"), packet(0x1000000f, 1)];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...valid),
        fc.nat(40),
        fc.nat(255),
        fc.uint8Array({ maxLength: 200 }),
        async (message, at, value, noise) => {
          const mutated = Buffer.from(message);
          mutated[at % mutated.length] = value;
          const decoded = decode(mutated);
          const type = decoded.kind === "message" ? decoded.message.type : decoded.kind;
          fc.pre(type !== "terminate" && type !== "stop-listening"); // these end the master, as they should
          const { socket } = await rawClient(path);
          const closed = once(socket, "close");
          socket.end(Buffer.concat([HELLO, mutated, Buffer.from(noise)]));
          await closed;
        },
      ),
      { numRuns: 300 },
    );
    await expect(isWell()).resolves.toBeUndefined();
    await tunnel.tund.tunctl(["cancel", "--all", "testhost"]); // what a mutation may have asked for
  });

  it("that flood it and read nothing, say nothing, or half a packet, are let go of in time", async () => {
    const [silent, half, greedy] = [await rawClient(path), await greeted(), await greeted()];
    half.socket.write(alive.subarray(0, 7));
    expect(typeOf(await silent.next())).toBe(1);
    const { socket } = greedy;
    socket.pause();
    const flood = Buffer.concat(Array.from({ length: 5000 }, () => packet(0x12345678, 1)));
    const pour = () => {
      while (!socket.destroyed && socket.write(flood));
    };
    socket.on("drain", pour);
    pour();
    await isWell();
    expect([await silent.next(), await half.next()]).toEqual([null, null]);
    await eventually(() => expect(tunnel.tund.log()).toContain("waited in vain for a reader"), {
      deadlineMs: 20_000,
    });
    socket.destroy();
    await isWell();
  });

  it("may be two hundred at once", async () => {
    const clients = await Promise.all(Array.from({ length: 200 }, () => greeted()));
    for (const { socket } of clients) socket.write(alive);
    const replies = await Promise.all(clients.map(({ next }) => next()));
    expect(new Set(replies.map(typeOf))).toEqual(new Set([ALIVE]));
    for (const { socket } of clients) socket.destroy();
    const ports = await Promise.all(Array.from({ length: 20 }, () => freePort()));
    const real = await Promise.all(
      ports.map((port) => run("ssh", ["-F", "none", "-S", path, "-O", "forward", "-L", `${port}:a:1`, "x"])),
    );
    expect(new Set(real.map(({ code }) => code))).toEqual(new Set([0]));
    expect(await tunnel.forwards()).toHaveLength(20);
    await tunnel.ok("cancel", "--all", "testhost");
  });

  it("may be killed in the middle of any request", async () => {
    const [port, there] = [await freePort(), await freePort()];
    const before = tunnel.tund.fds();
    const local = [1, "127.0.0.1", port, "a", 1] as const;
    // What is done at once: the client is gone before it is answered.
    for (const request of [
      forward(0, port),
      packet(0x10000007, 0, ...local),
      packet(0x20000001, 0, "channels"),
    ]) {
      const { socket } = await greeted();
      socket.write(request, () => socket.destroy());
    }
    // What waits for the server: the client is gone while it waits. To tund a killed one is no other.
    tunnel.sshd.freeze();
    onTestFinished(() => tunnel.sshd.thaw());
    for (const request of [alive, packet(0x10000006, 0, 2, "", there, "a", 1)]) {
      const { socket } = await greeted();
      socket.write(request, () => socket.destroy());
      await once(socket, "close");
    }
    tunnel.sshd.thaw();
    await isWell();
    // What waited was not acknowledged, and is kept neither here nor at the server; what was done at once may have been.
    const kept = async () =>
      (JSON.parse(await tunnel.ok("list", "--json")) as { forwards: { kind: string }[] }).forwards;
    const remote = async () => (await kept()).filter(({ kind }) => kind === "remote");
    await eventually(async () => expect(await remote()).toEqual([]));
    await eventually(async () => expect(await refuses(there)).toBe(true));
    if ((await kept()).length > 0) await tunnel.ok("cancel", "--all", "testhost");
    await eventually(() => expect(tunnel.tund.fds()).toBeLessThanOrEqual(before));
  });
});

describe("a server that does not answer", () => {
  it("has every request answered in time all the same", async () => {
    const [here, there] = [await freePort(), await freePort()];
    await tunnel.sshd.addHost("frozen", { ServerAliveInterval: 3600, ControlPath: "none" });
    const own = join(tunnel.sshd.directory, "frozen.sock");
    await tunnel.ok("connect", "-S", own, "frozen");
    const ssh = (...args: string[]) => run("ssh", ["-F", "none", "-S", own, "-O", ...args, "x"]);
    expect((await ssh("check")).code).toBe(0); // nothing that it has said is on its way any more
    tunnel.sshd.freeze();
    onTestFinished(() => tunnel.sshd.thaw());
    const [check, local, remote] = await Promise.all([
      ssh("check"),
      ssh("forward", "-L", `${here}:a:1`),
      ssh("forward", "-R", `${there}:a:1`),
    ]);
    expect(seen(check)).toMatchObject({ code: 255, stderr: ["muxclient: master alive check failed", ""] });
    expect(local.code).toBe(0);
    expect(seen(remote)).toMatchObject({
      code: 255,
      stderr: [
        `mux_client_forward: forwarding request failed: remote port forwarding failed for listen port ${there}`,
        "muxclient: master forward request failed",
        "",
      ],
    });
    expect((await ssh("cancel", "-L", `${here}:a:1`)).stderr).toBe("");
    expect((await ssh("exit")).stderr).toBe("Exit request sent.\r\n");
    expect(await refuses(here)).toBe(true);
  });
});

describe("a server that forbids", () => {
  it.each([
    ["AllowTcpForwarding no", 255],
    ["AllowTcpForwarding local", 255],
    ["PermitListen none", 255],
    ["GatewayPorts clientspecified", 0],
    ["GatewayPorts no", 0],
  ])("is told of as by ssh's own master: %s", async (line, code) => {
    const strict = await startTunnel({ config: [line] });
    onTestFinished(() => strict.stop());
    await strict.ok("connect", "testhost");
    const ours = (await strict.master())?.muxSocket ?? "";
    const theirs = join(strict.sshd.directory, "cm");
    const master = spawn("ssh", ["-F", strict.sshd.sshConfig, "-S", theirs, "-MN", "testhost"], {
      stdio: "ignore",
    });
    onTestFinished(() => void master.kill());
    await eventually(async () => expect((await run("ssh", ["-S", theirs, "-O", "check", "x"])).code).toBe(0));
    const port = await freePort();
    const ssh = (at: string, command: string, spec: string) =>
      run("ssh", ["-F", "none", "-S", at, "-O", command, "-R", spec, "x"]);
    for (const spec of [`${port}:a:1`, `*:${port}:a:1`, String(port)]) {
      // One after the other on the same port: each must have let it go.
      const his = [await ssh(theirs, "forward", spec), await ssh(theirs, "cancel", spec)];
      await eventually(async () => expect(await refuses(port)).toBe(true));
      const mine = [await ssh(ours, "forward", spec), await ssh(ours, "cancel", spec)];
      await eventually(async () => expect(await refuses(port)).toBe(true));
      expect(mine.map(seen)).toEqual(his.map(seen));
      expect(mine[0]?.code).toBe(code);
    }
  });
});
