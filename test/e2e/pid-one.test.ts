// tund as PID 1, as in a container without an init: whatever is left behind by others becomes its child, and is reaped.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { nativeFile } from "../../shared/native/load.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { signal } from "../support/process-tree.ts";
import { run } from "../support/run.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

const HOSTS = 8;
const AS_PID_ONE = ["unshare", "--fork", "--kill-child", "--pid", "--mount-proc"];
const native = resolve("dist", nativeFile(process.platform, process.arch));

function whyNot(): string | undefined {
  const [unshare = "", ...args] = AS_PID_ONE;
  const tried = spawnSync(unshare, [...args, "true"]);
  return tried.status === 0 ? undefined : "being PID 1 needs unshare(1), and the right to";
}

const why = whyNot();
if (why !== undefined) console.log(`skipped: ${why}`);
const isNative = existsSync(native);
if (!isNative) console.log(`skipped: reaping, since there is no ${native}`);

// Spins until its child has ended, which libuv cannot notice meanwhile, and calls for orphans: one is there beside it.
const SPARE_LIBUV = `
  const { spawn } = require("node:child_process");
  const { readFileSync } = require("node:fs");
  const module = { exports: {} };
  process.dlopen(module, process.argv[1]);
  const state = (pid) => /^\\d+ \\(.*\\) (.)/s.exec(readFileSync("/proc/" + pid + "/stat", "utf8"))[1];
  const until = (is) => { while (!is()); };
  const list = () => require("node:fs").readdirSync("/proc").filter((name) => /^[2-9]$|^\\d\\d+$/.test(name));
  const first = spawn("sh", ["-c", "(exec sleep 0.2) & exit 3"], { stdio: "ignore" });
  first.once("exit", (code) => console.log("exit", code));
  until(() => state(first.pid) === "Z" && list().every((pid) => state(pid) === "Z") && list().length === 2);
  console.log("again", module.exports.reapOrphans([]));
  console.log("still", state(first.pid));
  const rest = () => list().filter((pid) => pid !== String(first.pid)).map(Number);
  setTimeout(() => {
    console.log("again", module.exports.reapOrphans(rest()), "left", list().length);
    console.log("again", module.exports.reapOrphans([]), "left", list().length);
  }, 100);
`;

describe.skipIf(why !== undefined)("as PID 1", () => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd();
    // What they leave behind is killed with the attempt, and nobody else waits for it.
    for (let index = 0; index < HOSTS; index++)
      await sshd.addHost(`leaves${index}`, { ProxyCommand: `sh -c 'sleep 100${index} & exit 3'` });
  });
  afterAll(() => sshd?.stop());

  async function start(env: Record<string, string> = {}): Promise<{ tund: Tund; pid: number }> {
    const tund = await startTund({ within: AS_PID_ONE, env: { TUND_SSH_CONFIG: sshd.sshConfig, ...env } });
    const [pid] = children(tund.pid);
    if (pid === undefined) throw new Error(`tund does not run: ${tund.log()}`);
    onTestFinished(async () => {
      // unshare(1) does not pass a signal on.
      signal(pid, "SIGTERM");
      await tund.stop();
    });
    return { tund, pid };
  }

  const statOf = (pid: string): { parent: number; state: string } => {
    try {
      const [, state = "", parent] =
        /^\d+ \(.*\) (.) (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
      return { parent: Number(parent), state };
    } catch {
      return { parent: 0, state: "" }; // gone meanwhile
    }
  };
  const all = (): string[] => readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const children = (of: number): number[] =>
    all()
      .filter((pid) => statOf(pid).parent === of)
      .map(Number);
  const zombies = (of: number): number =>
    all().filter((pid) => {
      const { parent, state } = statOf(pid);
      return parent === of && state === "Z";
    }).length;

  async function leaveOrphans(tund: Tund): Promise<void> {
    const names = Array.from({ length: HOSTS }, (_, index) => `leaves${index}`);
    const outcomes = await Promise.all(names.map((name) => tund.tunctl(["connect", name])));
    // Every program that tund runs is still heard to end, with its exit code.
    for (const [index, { stderr }] of outcomes.entries())
      expect(stderr).toBe(`tunctl: ProxyCommand of leaves${index}: it ended with exit code 3\n`);
  }

  it.skipIf(!isNative)(
    "reaps what the programs that it runs have left behind, and hears of each of these",
    async () => {
      const { tund, pid } = await start();
      await leaveOrphans(tund);
      await eventually(() => expect(zombies(pid)).toBe(0));
      expect(await tund.tunctl(["connect", "testhost"])).toMatchObject({ code: 0, stderr: "" });
      expect((await tund.tunctl(["doctor"])).stdout).toMatch(/ok +orphans +tund is PID 1, and reaps/);
    },
  );

  it("says to doctor that it cannot without the compiled file, and what helps", async () => {
    const hide = join(sshd.directory, "hide.cjs");
    await writeFile(hide, `process.dlopen = () => { throw new Error("not built"); };`);
    const { tund, pid } = await start({ NODE_OPTIONS: `--require ${hide}` });
    await leaveOrphans(tund);
    await eventually(() => expect(zombies(pid)).toBeGreaterThan(0));
    const { stdout } = await tund.tunctl(["doctor"]);
    expect(stdout).toMatch(
      /note +orphans +tund is PID 1, and .* cannot reap .*; next: put an init before it/,
    );
  });

  it.skipIf(!isNative)(
    "leaves to libuv what libuv has started, and to others what they wait for, and takes all else",
    async () => {
      const [unshare = "", ...args] = AS_PID_ONE;
      const { stdout, stderr } = await run(unshare, [...args, process.execPath, "-e", SPARE_LIBUV, native]);
      expect({ stdout, stderr }).toEqual({
        stdout: "again true\nstill Z\nexit 3\nagain true left 1\nagain false left 0\n",
        stderr: "",
      });
    },
  );
});

it.skipIf(why !== undefined)("is not spoken of by doctor where something else is PID 1", async () => {
  const tund = await startTund();
  onTestFinished(async () => void (await tund.stop()));
  expect((await tund.tunctl(["doctor"])).stdout).not.toContain("orphans");
});
