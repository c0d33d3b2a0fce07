// Which cipher is taken, by the processor and by ssh_config; and what becomes of it where ssh2 has no compiled ciphers.
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { nativeCrypto } from "../../daemon/ssh/ssh2/internals.ts";
import { startTund, type Tund, type TundOptions } from "../support/daemon.ts";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed } from "../support/tcp.ts";
import { eventually } from "../support/eventually.ts";

let sshd: Sshd;
let echo: LoopbackServer;
beforeAll(async () => {
  sshd = await startSshd({ config: ["LogLevel DEBUG1"] });
  echo = await echoServer();
  await sshd.addHost("chosen", { Ciphers: "aes256-ctr" });
});
afterAll(async () => {
  await echo?.close();
  await sshd?.stop();
});

async function start(options: TundOptions = {}): Promise<Tund> {
  const tund = await startTund({
    ...options,
    env: { TUND_SSH_CONFIG: sshd.sshConfig, ...options.env },
  });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

/** The cipher of a new connection, in the server's words, over which a text has come back. */
async function cipherOf(tund: Tund, host: string): Promise<string | undefined> {
  const before = sshd.log().length;
  const port = await freePort();
  const forward = ["forward", "-L", `${port}:127.0.0.1:${echo.port}`, host];
  expect(await tund.tunctl(forward)).toMatchObject({ code: 0, stderr: "" });
  const socket = await dialLoopback(port);
  const text = "a text of some length ".repeat(10_000);
  expect(await echoed(socket, text)).toBe(text);
  socket.destroy();
  return eventually(() => /kex: client->server cipher: (\S+)/.exec(sshd.log().slice(before))?.[1] ?? false);
}

/** Why no program can be shown another /proc/cpuinfo here, or undefined. */
function whyNoOtherProcessor(): string | undefined {
  const tried = spawnSync("unshare", ["-m", "mount", "--bind", "/dev/null", "/proc/cpuinfo"]);
  return tried.status === 0 ? undefined : "showing another /proc/cpuinfo needs root, and the right to mount";
}

describe("the cipher", () => {
  const why = whyNoOtherProcessor();
  if (why !== undefined) console.log(`skipped: the cipher on other processors: ${why}`);

  it.skipIf(why !== undefined).each([
    ["has instructions for AES", "fpu sse4_2 aes avx", "aes128-gcm@openssh.com"],
    ["has none", "fpu sse4_2 avx", "chacha20-poly1305@openssh.com"],
  ])("suits a processor that %s, and ssh_config's Ciphers decides all the same", async (_, flags, cipher) => {
    const cpuInfo = join(sshd.directory, `cpuinfo-${cipher}`);
    await writeFile(cpuInfo, `processor\t: 0\nflags\t\t: ${flags}\n`);
    const shown = 'mount --bind "$0" /proc/cpuinfo && exec "$@"';
    const tund = await start({ within: ["unshare", "-m", "sh", "-c", shown, cpuInfo] });
    expect(await cipherOf(tund, "testhost")).toBe(cipher);
    expect(await cipherOf(tund, "chosen")).toBe("aes256-ctr");
  });
});

describe("ssh2 without its compiled ciphers", () => {
  const NOTICE = "ssh2's compiled ciphers are missing";

  it("works, and tund says so once in its log, in its status and to the doctor", async () => {
    // As where it was installed without a compiler: the file is not there.
    const hide = join(sshd.directory, "hide.cjs");
    await writeFile(
      hide,
      `const Module = require("node:module");
      const { _load: load } = Module;
      Module._load = (name, ...rest) => {
        if (name.endsWith("sshcrypto.node")) throw new Error("not built");
        return load(name, ...rest);
      };`,
    );
    const tund = await start({ env: { NODE_OPTIONS: `--require ${hide}` } });
    await cipherOf(tund, "testhost");
    await cipherOf(tund, "chosen");
    const notices = tund
      .log()
      .split("\n")
      .filter((line) => line.includes(NOTICE));
    expect(notices).toHaveLength(1);
    expect(JSON.parse(notices[0] ?? "")).toMatchObject({ level: "warn" });
    const status = await tund.tunctl(["status", "--json"]);
    expect(JSON.parse(status.stdout)).toMatchObject({ daemon: { nativeCrypto: false } });
    expect((await tund.tunctl(["status"])).stdout).toContain("without compiled ciphers");
    const { stdout } = await tund.tunctl(["doctor"]);
    expect(stdout).toContain(NOTICE);
    expect(stdout).toContain("install python3, make and g++");
  });

  it("is not spoken of where they are there", async ({ skip }) => {
    // In this tree they are those that ssh2 compiles, and 1.17.0 does not compile for Node 26; what is installed does.
    if (!nativeCrypto()) skip("ssh2's ciphers are not compiled for this Node");
    const tund = await start();
    expect(tund.log()).not.toContain(NOTICE);
    expect((await tund.tunctl(["doctor"])).stdout).toMatch(/ciphers +compiled/);
  });
});
