// Whose turn it is: hosts that say nothing and questions to ssh that take long hold nobody else up, and people go first.
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund, type Tund, type TundOptions } from "../support/daemon.ts";
import { deafServer, type LoopbackServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { living } from "../support/process-tree.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp-dir.ts";

// What the background may have in flight at once.
const SHARE = 24;

let sshd: Sshd;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());

const named = (count: number, name = "silent") => Array.from({ length: count }, (_, n) => `${name}${n}`);

async function startSilent(): Promise<LoopbackServer> {
  const server = await deafServer();
  onTestFinished(() => server.close());
  return server;
}

/** An ssh_config with what sshd's has, and more before it. */
async function configWith(...before: string[]): Promise<{ path: string; directory: string }> {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const path = join(directory.path, "config");
  await writeFile(path, `${before.join("\n")}\n${await readFile(sshd.sshConfig, "utf8")}`);
  return { path, directory: directory.path };
}

/** Each is a connection of its own, by its alias. */
const hostAt = (name: string, port: number): string =>
  `Host ${name}\n  HostName 127.0.0.1\n  Port ${port}\n  HostKeyAlias ${name}\n  ConnectTimeout 80`;

async function startWith(config: string, env: TundOptions["env"] = {}): Promise<Tund> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: config, ...env }, deadlineMs: 60_000 });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

async function ok(tund: Tund, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tund.tunctl(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

/** Asks what ssh_config means for a host, by the control API. */
function resolveHost(tund: Tund, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({
      socketPath: tund.socket,
      path: "/v1/resolve",
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    asked.once("error", reject);
    asked.once("response", (answer) => {
      answer.resume();
      answer.once("end", () => resolve(answer.statusCode));
    });
    asked.end(JSON.stringify({ host }));
  });
}

const linesOf = async (file: string): Promise<string[]> =>
  (await readFile(file, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");

// One server's door has room for a few at once: it takes many servers to keep a share of dials waiting.
const startSilentOnes = (count: number) => Promise.all(Array.from({ length: count }, () => startSilent()));

describe("hosts that accept TCP and say nothing", () => {
  it.each([32, 64, 200])(
    "hold nobody up who connects another host, be they %i",
    async (count) => {
      const silent = await startSilentOnes(count);
      const hosts = named(count).map((name, index) => hostAt(name, silent[index]?.port ?? 0));
      const { path } = await configWith(...hosts);
      const tund = await startWith(path, { TUND_CONNECT: named(count).join(" ") });
      const total = () => silent.reduce((sum, one) => sum + one.connections().total, 0);
      await eventually(() => total() >= SHARE, { deadlineMs: 60_000 });
      await ok(tund, "connect", "testhost");
      expect(tund.log()).not.toContain("CONNECT_TIMEOUT"); // it did not wait for any of them
    },
    120_000,
  );

  it("hold up no host either that is kept connected like them", async () => {
    const hosts = named(64);
    const silent = await startSilentOnes(hosts.length);
    const { path } = await configWith(...hosts.map((name, index) => hostAt(name, silent[index]?.port ?? 0)));
    const tund = await startWith(path, { TUND_CONNECT: [...hosts, "testhost"].join(" ") });
    await eventually(() => tund.log().includes(`"host":"testhost","from":"connecting","to":"ready"`), {
      deadlineMs: 90_000,
    });
    expect(tund.log()).not.toContain("CONNECT_TIMEOUT");
  }, 120_000);
});

describe("questions to ssh_config that take long", () => {
  const slow = named(20, "slow");

  /** `Match exec` of the slow ones writes its process ids down, one of which would go on for ever. */
  async function startSlow(): Promise<{ tund: Tund; pids: () => Promise<number[]> }> {
    const { path, directory } = await configWith();
    const [script, file] = [join(directory, "slow.sh"), join(directory, "pids")];
    await writeFile(script, `#!/bin/sh\ntrap '' TERM\nsleep 1000 & echo $$ $! >>${file}\nwait\n`);
    await chmod(script, 0o755);
    await writeFile(path, `Match originalhost slow* exec ${script}\n${await readFile(path, "utf8")}`);
    const tund = await startWith(path, { TUND_CONNECT: slow.join(" ") });
    const pids = async () => (await linesOf(file)).flatMap((line) => line.split(" ").map(Number));
    return { tund, pids };
  }

  it("hold nobody up, and are not more than so many programs at once", async () => {
    const { tund, pids } = await startSlow();
    await eventually(async () => (await pids()).length >= 2 * 12, { deadlineMs: 15_000 });
    await ok(tund, "connect", "testhost");
    expect(tund.log()).not.toContain("no answer in 20 s");
    expect((await pids()).length).toBe(2 * 12); // four more are kept for people
  });

  it("are ended with what they have started when the daemon ends", async () => {
    const { tund, pids } = await startSlow();
    await eventually(async () => (await pids()).length >= 2 * 12, { deadlineMs: 15_000 });
    await tund.stop();
    const all = await pids();
    await eventually(() => living(all).length === 0);
    expect(living(all)).toEqual([]);
  });

  it("are ended with what they have started when nobody wants the answer", async () => {
    const { tund, pids } = await startSlow();
    await eventually(async () => (await pids()).length >= 2 * 12, { deadlineMs: 15_000 });
    const before = await pids();
    for (const host of slow) await ok(tund, "exit", host);
    await eventually(async () => living(before).length === 0);
    expect(tund.log()).not.toContain("no answer in 20 s");
  });

  it("are ended after 20 s with what they have started, even if that does not heed SIGTERM", async () => {
    const { tund, pids } = await startSlow();
    const { code, stderr } = await tund.tunctl(["connect", "slow-too"], { deadlineMs: 60_000 });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "tunctl: ssh cannot resolve 'slow-too': no answer in 20 s\n",
    });
    const first = (await pids()).slice(0, 2);
    await eventually(() => living(first).length === 0);
  });

  it("are asked once for all who ask the same", async () => {
    const { path, directory } = await configWith();
    const [bin, asked, go] = ["bin", "asked", "go"].map((name) => join(directory, name));
    await mkdir(String(bin));
    const script = `#!/bin/sh\ncase "$*" in *testhost) echo asked >>${asked}; until [ -e ${go} ]; do sleep 0.05; done;; esac\nPATH=$\{PATH#*:} exec ssh "$@"\n`;
    await writeFile(join(String(bin), "ssh"), script, { mode: 0o755 });
    const tund = await startWith(path, { PATH: `${bin}:${process.env["PATH"]}` });
    const first = resolveHost(tund, "testhost");
    await eventually(async () => (await linesOf(String(asked))).length === 1);
    const others = Array.from({ length: 20 }, () => resolveHost(tund, "testhost"));
    await ok(tund, "status"); // they have been heard
    await writeFile(String(go), "");
    expect(new Set(await Promise.all([first, ...others]))).toEqual(new Set([200]));
    // The first, those who came while it was asked, and whoever came late; each twice, since nothing is said of ServerAliveInterval.
    expect((await linesOf(String(asked))).length).toBeLessThanOrEqual(8);
  });
});
