// The log when what it goes to fails: its reader stands still, its terminal is gone, its disk is full. Lines are lost, and
// nothing else.
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Status } from "../../shared/records.ts";
import { startTund, type Tund, type TundOptions } from "../support/daemon.ts";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed, endOf, works } from "../support/tcp.ts";
import { tempDir } from "../support/temp-dir.ts";
import { noTerminal } from "../support/terminal.ts";

let sshd: Sshd;
let echo: LoopbackServer;

beforeAll(async () => {
  sshd = await startSshd();
  echo = await echoServer();
});
afterAll(async () => {
  await echo?.close();
  await sshd?.stop();
});

/** What starts a program in a shell that has done this first. */
const after = (script: string): readonly string[] => ["/bin/sh", "-c", `${script}; exec "$@"`, "sh"];
const into = (redirection: string): readonly string[] => ["/bin/sh", "-c", `exec "$@" ${redirection}`, "sh"];

interface Running extends Tund {
  directory: string;
  daemon(): Promise<Status["daemon"]>;
  /** a forward to the echo server */
  good: number;
  /** a forward to nobody: each connection to it is a line in the log */
  dead: number;
}

/** A daemon whose log goes where `within` says, which is told a directory. */
async function running(
  within: (directory: string) => readonly string[],
  options: TundOptions = {},
): Promise<Running> {
  const directoryDir = await tempDir();
  const directory = directoryDir.path;
  const env = { TUND_SSH_CONFIG: sshd.sshConfig, ...options.env };
  const tund = await startTund({ ...options, env, within: within(directory) });
  onTestFinished(async () => {
    await tund.stop("SIGKILL");
    await directoryDir.remove();
  });
  const good = await freePort();
  const dead = await freePort();
  const asked = ["-L", `${good}:127.0.0.1:${echo.port}`, "-L", `${dead}:127.0.0.1:1`];
  const { code, stderr } = await tund.tunctl(["forward", ...asked, "testhost"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const daemon = async () => (JSON.parse((await tund.tunctl(["status", "--json"])).stdout) as Status).daemon;
  return { ...tund, directory, daemon, good, dead };
}

/** So many connections to a forward that leads nowhere, one after the other. */
async function refused(port: number, times: number): Promise<void> {
  for (let n = 0; n < times; n++) await endOf(await dialLoopback(port));
}

/** As many lines as a pipe and the queue behind it can never hold: at debug level none is left out for being like others. */
async function flood(tund: Running): Promise<void> {
  const asked = connect(tund.socket);
  await once(asked, "connect");
  let answers = 0;
  asked.on("data", (chunk: Buffer) => (answers += chunk.toString().split("HTTP/1.1 404").length - 1));
  const request = `GET /${"long/".repeat(150)} HTTP/1.1\r\nHost: tund\r\n\r\n`;
  for (let n = 0; n < 1000; n++) asked.write(request);
  await eventually(() => answers >= 1000, { deadlineMs: 30_000 });
  asked.destroy();
}

describe("the log of a daemon", () => {
  it("whose reader stands still holds nobody up, and has a line for those that were lost once it is read", async () => {
    const tund = await running((directory) => after(`mkfifo ${directory}/log; exec 2<>${directory}/log`), {
      env: { TUND_LOG_LEVEL: "debug" },
    });
    const open = await dialLoopback(tund.good);
    await flood(tund);
    expect(await echoed(open, "still here")).toBe("still here");
    open.destroy();
    await works(tund.good);
    const { log } = await tund.daemon();
    expect(log).toEqual({ lost: expect.any(Number) as number, failure: "its reader stands still (EAGAIN)" });
    expect(log.lost).toBeGreaterThan(100);
    expect((await tund.tunctl(["status"])).stdout).toMatch(
      /^log: \d+ lines lost; .*its reader stands still/m,
    );
    // Somebody reads again: the gap is told where it is, and what comes later comes.
    let read = "";
    const reader = createReadStream(join(tund.directory, "log"));
    onTestFinished(() => void reader.destroy());
    reader.on("data", (chunk) => (read += chunk.toString()));
    const lines = () =>
      read
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { lost?: number; msg: string });
    await eventually(() => lines().some(({ lost }) => lost !== undefined));
    const told = lines().find(({ lost }) => lost !== undefined);
    expect(told?.msg).toBe(`${told?.lost} lines of the log were lost: its reader stands still (EAGAIN)`);
    expect(told?.lost).toBeGreaterThanOrEqual(log.lost);
    await refused(tund.dead, 1);
    await eventually(() => lines().some(({ msg }) => msg === "connection failed"));
    expect((await tund.daemon()).log.failure).toBeNull();
    // An orderly end does not wait for a reader either.
    expect(await tund.stop()).toMatchObject({ code: 0 });
  });

  it("ends with the daemon although nobody reads it, in order and by a fault", async () => {
    const nobody = (directory: string) => after(`mkfifo ${directory}/log; exec 2<>${directory}/log`);
    const hooksDir = await tempDir();
    const hooks = hooksDir.path;
    onTestFinished(() => hooksDir.remove());
    const hook = join(hooks, "hook.cjs");
    await writeFile(hook, `process.on("SIGUSR2", () => { throw new Error("planted"); });`);
    const env = { TUND_LOG_LEVEL: "debug", NODE_OPTIONS: `--require ${hook}` };
    for (const [signal, code] of [
      ["SIGTERM", 0],
      ["SIGUSR2", 1],
    ] as const) {
      const tund = await running(nobody, { env });
      await flood(tund);
      expect(await tund.stop(signal)).toEqual({ code, signal: null });
    }
  });

  it("has what a local client can make many of a few times, then their number, and other warnings besides", async () => {
    const tund = await running(() => after(":"));
    await refused(tund.dead, 60);
    await tund.tunctl(["connect", "no-such-host"]);
    const lines = () =>
      tund
        .log()
        .split("\n")
        .filter((line) => line.includes("connection failed"));
    await eventually(() => tund.log().includes("no-such-host"));
    expect(lines()).toHaveLength(10);
    // The interval ends with the daemon, if not before.
    expect(await tund.stop()).toMatchObject({ code: 0 });
    const [summary] = lines().slice(10);
    expect(JSON.parse(summary ?? "{}")).toMatchObject({
      level: "info",
      host: "testhost",
      code: "CHANNEL_CONNECT_FAILED",
      more: 50,
      msg: "connection failed (50 more like this)",
    });
  });

  if (noTerminal !== null) console.log(`skipped: a terminal that is closed: ${noTerminal}`);
  it.skipIf(noTerminal !== null)(
    "goes with its terminal, and the daemon does not: it works on, ends in order, and says how many lines were lost",
    async () => {
      const homeDir = await tempDir();
      const home = homeDir.path;
      // As `tund &` in a shell, whose terminal is then closed; what tells of its end outlives the terminal too.
      const inTerminal = `N=$1 T=$2; export N T; exec script -qfec '(trap "" HUP; "$N" "$T"; echo $? >"$HOME/exit") & sleep 600' /dev/null`;
      const tund = await running(() => ["/bin/sh", "-c", inTerminal, "sh"], {
        home,
        env: { TUND_LOG_FORMAT: undefined },
      });
      const { pid } = await tund.daemon();
      onTestFinished(async () => {
        spawnSync("kill", ["-9", String(pid)]);
        await homeDir.remove();
      });
      const open = await dialLoopback(tund.good);
      process.kill(tund.pid, "SIGKILL"); // script(1), which has the terminal
      await eventually(async () => {
        await refused(tund.dead, 1);
        expect((await tund.daemon()).log.failure).toBe("its terminal is gone (EIO)");
      });
      const { log, pid: same } = await tund.daemon();
      expect([same, log.lost > 0]).toEqual([pid, true]);
      expect(await echoed(open, "still here")).toBe("still here");
      open.destroy();
      expect((await tund.tunctl(["connect", "testhost"])).code).toBe(0);
      expect((await tund.tunctl(["cancel", "-L", String(tund.good), "testhost"])).code).toBe(0);
      process.kill(pid, "SIGTERM");
      await eventually(
        () => existsSync(join(home, "exit")) && readFileSync(join(home, "exit"), "utf8") === "0\n",
      );
    },
  );

  it("on a full disk loses lines and nothing else: the daemon starts, works, says so and ends in order", async () => {
    const tund = await running(() => into(">/dev/full 2>&1"));
    await works(tund.good);
    const { log } = await tund.daemon();
    expect(log.failure).toBe("no space left on device (ENOSPC)");
    expect(log.lost).toBeGreaterThan(2);
    expect(await tund.stop()).toEqual({ code: 0, signal: null });
  });

  it("in a file on a full disk goes on when there is room again, on a line of its own", async () => {
    const diskDir = await tempDir();
    const disk = diskDir.path;
    onTestFinished(() => diskDir.remove());
    const isThere =
      process.getuid?.() === 0 &&
      spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", disk]).status === 0;
    if (!isThere) return console.log("skipped: a log on a full disk, since only root may mount one");
    onTestFinished(() => void spawnSync("umount", ["-l", disk]));
    const ballast = join(disk, "ballast");
    await writeFile(ballast, Buffer.alloc(60 * 1024));
    const tund = await running(() => into(`2>>${disk}/log`), { env: { TUND_LOG_LEVEL: "debug" } });
    await flood(tund);
    await works(tund.good);
    await eventually(async () => expect((await tund.daemon()).log.failure).toMatch(/ENOSPC/));
    await rm(ballast);
    await eventually(async () => {
      await tund.tunctl(["check", "nobody"]); // a line at this level
      expect((await tund.daemon()).log.failure).toBeNull();
    });
    expect(await tund.stop()).toMatchObject({ code: 0 });
    const lines = readFileSync(join(disk, "log"), "utf8").trimEnd().split("\n");
    const torn = lines.filter((line) => !line.startsWith("{") || !line.endsWith("}"));
    expect(torn.length).toBeLessThanOrEqual(1);
    expect(
      lines.some((line) => line.includes("lines of the log were lost: no space left on device (ENOSPC)")),
    ).toBe(true);
    // Behind it may be how many lines were like one of them.
    expect(lines.slice(-3).some((line) => line.includes('"msg":"stopped"'))).toBe(true);
    return undefined;
  });

  it("that journald does not take is waited for by nobody", async () => {
    const isRoot = process.getuid?.() === 0;
    if (!isRoot)
      return console.log("skipped: a journald that stands still, since only root can have one of its own");
    const journald = `mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; perl -MSocket -e 'socket(S,AF_UNIX,SOCK_DGRAM,0); bind(S,sockaddr_un("/run/systemd/journal/socket")); sleep 3600' & sleep=$!; until [ -S /run/systemd/journal/socket ]; do :; done`;
    const within = (directory: string) => [
      "unshare",
      "--mount",
      "--pid",
      "--fork",
      "--kill-child",
      "--mount-proc",
      "/bin/sh",
      "-c",
      `${journald}; exec "$@" 2>${directory}/stderr`,
      "sh",
    ];
    const tund = await running(within, { env: { TUND_LOG_FORMAT: "journal", TUND_LOG_LEVEL: "debug" } });
    await flood(tund);
    await works(tund.good);
    const { log } = await tund.daemon();
    expect(log.failure).toBe("its reader stands still (EAGAIN)");
    expect(log.lost).toBeGreaterThan(10);
    expect(readFileSync(join(tund.directory, "stderr"), "utf8")).toBe("");
    return undefined;
  });
});
