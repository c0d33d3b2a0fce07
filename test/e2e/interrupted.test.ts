// Commands whose user goes away before they are answered, and commands that come while others are carried out.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { startSshd, type Sshd } from "../support/sshd.ts";
import { dialLoopback, echoed, refuses } from "../support/tcp.ts";

let sshd: Sshd;

beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());

/** A server that takes connections and says nothing on them. */
async function silentServer() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.resume();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, connections: () => sockets.size };
}

async function world() {
  const silent = await silentServer();
  const tund = await startTund();
  onTestFinished(async () => void (await tund.stop()));
  const config = sshd.sshConfig;
  const slow = ["-F", config, "-p", String(silent.port), "-o", "ConnectTimeout=600"];
  return { silent, tund, slow, config };
}

/** Starts tunctl on its own, to be interrupted. */
function begin(tund: Tund, ...args: string[]) {
  const child = spawn(process.execPath, ["dist/tunctl.cjs", "--socket", tund.socket, ...args], {
    stdio: "ignore",
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

const stateOf = async ({
  home,
}: Tund): Promise<{ hosts: { host: string; forwards: { id: string }[]; kept: boolean }[] }> => {
  const file = join(home, "state", "state.json");
  if (!existsSync(file)) return { hosts: [] };
  const states = (await readFile(file, "utf8")).trim().split("\n").join("");
  return JSON.parse(states.slice(states.lastIndexOf('{"version"'))) as Awaited<ReturnType<typeof stateOf>>;
};

const statusOf = async (tund: Tund) =>
  JSON.parse((await tund.tunctl(["status", "--json"])).stdout) as {
    masters: { names: string[]; state: string }[];
  };

describe("a command that is interrupted before it is answered", () => {
  it.each([
    ["forward", "SIGINT"],
    ["forward", "SIGKILL"],
    ["connect", "SIGINT"],
    ["connect", "SIGKILL"],
    ["stdio", "SIGINT"],
    ["stdio", "SIGKILL"],
    ["-M", "SIGINT"],
    ["-M", "SIGKILL"],
  ] as const)("leaves nothing of %s behind, and its dial is aborted (%s)", async (verb, signal) => {
    const { silent, tund, slow } = await world();
    const args = {
      forward: ["forward", ...slow, "-L", `${await freePort()}:127.0.0.1:1`, "testhost"],
      connect: ["connect", ...slow, "testhost"],
      stdio: ["stdio", ...slow, "127.0.0.1:1", "testhost"],
      "-M": [...slow, "-M", "-N", "-S", join(tund.home, "mux"), "testhost"],
    }[verb];
    const child = begin(tund, ...args);
    await eventually(() => expect(silent.connections()).toBe(1));
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
    await eventually(() => expect(silent.connections()).toBe(0));
    await eventually(async () => expect((await statusOf(tund)).masters).toEqual([]));
    expect((await stateOf(tund)).hosts).toEqual([]);
  });

  it("leaves the dial to another one that waits for it", async () => {
    const { silent, tund, slow } = await world();
    const [first, second] = [
      begin(tund, "connect", ...slow, "testhost"),
      begin(tund, "connect", ...slow, "testhost"),
    ];
    await eventually(() => expect(silent.connections()).toBe(1));
    // Both are there when both have been told what ssh_config means; who goes first then does not matter.
    await eventually(async () =>
      expect((await statusOf(tund)).masters).toMatchObject([{ state: "connecting" }]),
    );
    first.kill("SIGKILL");
    await once(first, "exit");
    second.kill("SIGKILL");
    await once(second, "exit");
    await eventually(() => expect(silent.connections()).toBe(0));
    await eventually(async () => expect((await statusOf(tund)).masters).toEqual([]));
  });

  it("leaves what others were told of as it was: options, forwards, and the host", async () => {
    const { silent, tund, slow, config } = await world();
    const echo = await echoServer();
    onTestFinished(() => echo.close());
    const port = await freePort();
    expect(
      await tund.tunctl(["forward", "-F", config, "-L", `${port}:127.0.0.1:${echo.port}`, "testhost"]),
    ).toMatchObject({ code: 0 });
    expect(await tund.tunctl(["connect", "-F", config, "testhost"])).toMatchObject({ code: 0 });
    const before = await stateOf(tund);
    const child = begin(tund, "forward", ...slow, "-L", `${await freePort()}:127.0.0.1:1`, `127.0.0.1`);
    await eventually(() => expect(silent.connections()).toBe(1));
    child.kill("SIGINT");
    await once(child, "exit");
    await eventually(async () =>
      expect((await statusOf(tund)).masters).toMatchObject([{ names: ["testhost"] }]),
    );
    expect(await stateOf(tund)).toEqual(before);
    expect(await echoed(await dialLoopback(port), "still there")).toBe("still there");
  });

  it("ends a look at a host as well", async () => {
    const { silent, tund, slow } = await world();
    for (const args of [
      ["trust", ...slow, "testhost"],
      ["doctor", ...slow, "testhost"],
    ]) {
      const child = begin(tund, ...args);
      await eventually(() => expect(silent.connections()).toBe(1));
      child.kill("SIGKILL");
      await eventually(() => expect(silent.connections()).toBe(0));
    }
  });
});

describe("a master that was stopped", () => {
  it("keeps the connections that it was promised to keep, whoever says reconnect", async () => {
    const { tund, config } = await world();
    const echo = await echoServer();
    onTestFinished(() => echo.close());
    const port = await freePort();
    await tund.tunctl(["forward", "-F", config, "-L", `${port}:127.0.0.1:${echo.port}`, "testhost"]);
    const client = await dialLoopback(port);
    onTestFinished(() => void client.destroy());
    client.write("a");
    await once(client, "data");
    expect(await tund.tunctl(["stop", "testhost"])).toMatchObject({ code: 0 });
    expect(await tund.tunctl(["reconnect", "testhost"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("is ending; 1 connections are open") as string,
    });
    client.write("b");
    const [answer] = (await once(client, "data")) as [Buffer];
    expect(answer.toString()).toBe("b");
    expect(await refuses(port)).toBe(true);
    client.end();
    await eventually(async () => expect((await statusOf(tund)).masters).toEqual([]));
    expect(await tund.tunctl(["connect", "-F", config, "testhost"])).toMatchObject({ code: 0 });
  });
});

describe("a connect beside an exit", () => {
  it("leaves a host that can be given up, and be connected again", async () => {
    const { tund, config } = await world();
    const connect = ["connect", "-F", config, "testhost"];
    for (let round = 0; round < 6; round++) {
      expect(await tund.tunctl(connect)).toMatchObject({ code: 0 });
      await Promise.all([tund.tunctl(connect), tund.tunctl(["exit", "testhost"])]);
      await tund.tunctl(["exit", "testhost"]);
      expect((await statusOf(tund)).masters).toEqual([]);
      expect((await stateOf(tund)).hosts).toEqual([]);
    }
  });
});
