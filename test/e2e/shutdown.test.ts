// SIGTERM ends tund in its usual time, whatever its clients do, or do not do any more.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startInBackground } from "../support/background.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { sourceServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { HELLO, packet, rawClient } from "../support/mux.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback } from "../support/tcp.ts";
import { closing } from "../support/tunnel.ts";

const TUNCTL = fileURLToPath(new URL("../../dist/tunctl.cjs", import.meta.url));

let sshd: Sshd;

beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());

async function startDaemon(): Promise<{ tund: Tund; env: NodeJS.ProcessEnv }> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  onTestFinished(async () => void (await tund.stop("SIGKILL")));
  return { tund, env: { PATH: process.env["PATH"], HOME: tund.home, TUND_SOCKET: tund.socket } };
}

/** Starts tunctl, and stops it with SIGSTOP once `isThere`. */
async function stopped(env: NodeJS.ProcessEnv, args: string[], isThere: () => boolean | Promise<boolean>) {
  const child = spawn(process.execPath, [TUNCTL, ...args], { env, stdio: ["pipe", "pipe", "ignore"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  await eventually(isThere);
  child.kill("SIGSTOP");
}

/** By itself: `stop` kills who does not end. */
const inOrder = { code: 0, signal: null };

describe("tund ends in order", () => {
  it("beside a master's holder that is stopped", async () => {
    const { tund, env } = await startDaemon();
    const path = join(sshd.directory, "held");
    await stopped(env, ["-F", sshd.sshConfig, "-M", "-S", path, "-N", "testhost"], () => existsSync(path));
    expect(await tund.stop()).toEqual(inOrder);
  });

  it("beside a hold that nobody ever used", async () => {
    const { tund } = await startDaemon();
    const socket = connect({ path: tund.socket, allowHalfOpen: true });
    onTestFinished(() => void socket.destroy());
    socket.write("GET /v1/hold HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tund-hold\r\n\r\n");
    await once(socket, "data");
    socket.pause();
    expect(await tund.stop()).toEqual(inOrder);
  });

  it("beside readers of events and a channel's stdout that are stopped", async () => {
    const { tund, env } = await startDaemon();
    const source = closing(await sourceServer(100_000_000));
    const before = tund.fds();
    await stopped(env, ["events"], () => tund.fds() > before);
    await tund.tunctl(["connect", "testhost"]);
    const channels = async () =>
      (JSON.parse((await tund.tunctl(["status", "--json"])).stdout) as { masters: { channels: number }[] })
        .masters[0]?.channels;
    await stopped(
      env,
      ["stdio", `127.0.0.1:${source.port}`, "testhost"],
      async () => (await channels()) === 1,
    );
    expect(await tund.stop()).toEqual(inOrder);
  });

  it("beside clients of a forward, and of a mux socket, that read nothing", async () => {
    const { tund } = await startDaemon();
    const source = closing(await sourceServer(100_000_000));
    const port = await freePort();
    const path = join(sshd.directory, "muxed");
    await tund.tunctl(["connect", "-S", path, "testhost"]);
    await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${source.port}`, "testhost"]);
    const reader = await dialLoopback(port);
    reader.pause();
    const { socket } = await rawClient(path);
    socket.pause();
    onTestFinished(() => void (reader.destroy(), socket.destroy()));
    socket.write(Buffer.concat([HELLO, packet(0x10000004, 1)]));
    expect(await tund.stop()).toEqual(inOrder);
  });

  it("beside a command that waits for an answer and is stopped", async () => {
    const { tund, env } = await startDaemon();
    await sshd.addHost("waiting", { ProxyCommand: "sleep 1000", ConnectTimeout: 600 });
    const before = tund.fds();
    await startInBackground(process.execPath, [TUNCTL, "connect", "waiting"], { env, cwd: tund.home }).then(
      async (child) => {
        onTestFinished(() => child.kill("SIGKILL"));
        await eventually(() => tund.fds() > before + 2);
        child.kill("SIGSTOP");
      },
    );
    expect(await tund.stop()).toEqual(inOrder);
  });
});
