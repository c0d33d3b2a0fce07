// `--wait SECONDS`: a daemon that is being started is waited for; and `connect --timeout`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startBlackHole } from "../support/black-hole.ts";
import { controlSocket, listening } from "../support/canned-daemon.ts";
import { startTund } from "../support/daemon.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp-dir.ts";

let sshd: Sshd;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());

/** Runs tunctl beside a daemon that may not be there. */
const tunctl = (socket: string, ...args: string[]) =>
  run(process.execPath, ["dist/tunctl.cjs", ...args], {
    env: { PATH: process.env["PATH"], HOME: "/nonexistent", TUND_SOCKET: socket },
  });

describe("tunctl --wait", () => {
  it("waits for a daemon that is not there yet, for every verb and in ssh's spelling", async () => {
    const home = await tempDir();
    const socket = join(home.path, "run", "tund", "tund.sock");
    const [here, path] = [await freePort(), join(home.path, "held")];
    const asked = Promise.all(
      [
        ["list", "--wait", "60"],
        ["--wait", "60", "status"],
        ["--wait", "60", "forward", "-L", `${here}:127.0.0.1:1`, "testhost"],
        ["connect", "--wait", "60", "testhost"],
        ["wait", "--wait", "60", "--json", "testhost"],
        ["version", "--json", "--wait", "60"],
        ["--wait", "60", "-O", "forward", "-S", path, "testhost"],
        ["-M", "-f", "-N", "-S", path, "-F", sshd.sshConfig, "--wait", "60", "testhost"],
      ].map((args) => tunctl(socket, ...args)),
    );
    const env = { TUND_SSH_CONFIG: sshd.sshConfig, TUND_CONNECT: "testhost", TUND_SOCKET: socket };
    const tund = await startTund({ home: home.path, env });
    onTestFinished(async () => {
      await tund.stop();
      await home.remove();
    });
    const outcomes = await asked;
    const codes = outcomes.map(({ code }) => code);
    // The master at that path is not there, or is there already: it has been asked for in any case.
    expect({ codes, said: outcomes.map(({ stderr }) => stderr) }).toMatchObject({
      codes: [0, 0, 0, 0, 0, 0, expect.any(Number) as number, 0],
    });
    expect(outcomes[5]?.stdout).not.toContain("null");
    expect(outcomes[6]?.stderr).not.toContain("waited");
  });

  it("gives up when it is over, and says what it waited for", async () => {
    const socket = await controlSocket();
    for (const args of [
      ["--wait", "1", "list"],
      ["check", "db", "--wait", "1"],
      ["--wait", "1", "events"],
    ]) {
      const started = performance.now();
      expect(await tunctl(socket, ...args)).toMatchObject({
        code: 3,
        stderr: expect.stringMatching(
          /^tunctl: waited 1 s: no daemon answers on \S+: start it with /,
        ) as string,
      });
      expect(performance.now() - started).toBeGreaterThan(1000);
    }
    const { code, stdout } = await tunctl(socket, "version", "-v", "--wait", "1");
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("not reachable") as string,
    });
    for (const args of [
      ["-O", "check", "--wait", "1", "db"],
      ["--wait", "1", "-M", "-S", `${socket}.mux`, "db"], // nor is one started
    ])
      expect(await tunctl(socket, ...args)).toMatchObject({
        code: 255,
        stderr: expect.stringMatching(/^waited 1 s: no daemon answers on /) as string,
      });
  });

  it("is over also where somebody listens who never answers", async () => {
    const socket = await listening(createServer(() => undefined));
    for (const args of [["list"], ["connect", "db"]])
      expect(await tunctl(socket, "--wait", "1", ...args)).toEqual({
        code: 3,
        signal: null,
        stdout: "",
        stderr: `tunctl: waited 1 s: the daemon on ${socket} does not answer: see its log for why\n`,
      });
  });

  it("does not wait for what will not mend, nor where nothing is asked of a daemon", async () => {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    const loop = join(directory.path, "tund.sock");
    symlinkSync(loop, loop);
    for (const [args, code] of [
      [["list"], 3],
      [["version"], 0],
      [["help"], 0],
      [["completion", "bash"], 0],
    ] as const) {
      const outcome = await tunctl(loop, "--wait", "600", ...args);
      expect({ args, code: outcome.code }).toEqual({ args, code });
    }
    for (const bad of ["-1", "x", "86401", "1.5"])
      for (const verb of ["list", "version"])
        expect(await tunctl(loop, `--wait=${bad}`, verb)).toMatchObject({
          code: 2,
          stderr: `tunctl: --wait takes whole seconds, 0 to 86400: '${bad}'\n`,
        });
    expect(await tunctl(join(directory.path, "none"), "--wait", "0", "list")).toMatchObject({ code: 3 });
  });

  it("outlasts a daemon that goes away before it has answered, and finds the one that takes its place", async () => {
    const socket = await controlSocket();
    const first = createServer((connection) => {
      first.close();
      connection.on("error", () => undefined).destroy();
    }).listen(socket);
    await once(first, "listening");
    const gone = once(first, "close");
    const asked = tunctl(socket, "--wait", "60", "status");
    await gone;
    const tund = await startTund({ env: { TUND_SOCKET: socket } });
    onTestFinished(async () => void (await tund.stop()));
    expect(await asked).toMatchObject({ code: 0, stderr: "" });
  });

  it("takes no processor time to speak of while it waits", async () => {
    const socket = await controlSocket();
    const child = spawn(process.execPath, ["dist/tunctl.cjs", "--wait", "4", "list"], {
      env: { PATH: process.env["PATH"], TUND_SOCKET: socket, HOME: "/nonexistent" },
    });
    let [usage, said] = [0, ""];
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const looked = setInterval(() => (usage = ticksOf(child.pid) ?? usage), 50);
    await new Promise((resolve) => child.once("close", resolve));
    clearInterval(looked);
    expect(usage).toBeLessThan(100); // hundredths of a second, starting included
    expect(said).toMatch(/^tunctl: waited 4 s: .*\n$/); // and no warning of Node's
  });
});

/** utime + stime of proc_pid_stat(5); undefined where it is not told. */
function ticksOf(pid: number | undefined): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return undefined;
  }
}

describe("tunctl connect --timeout", () => {
  it("gives up a host that does not answer in time, and leaves none", async () => {
    const hole = await startBlackHole();
    onTestFinished(() => hole.close());
    const tund = await startTund();
    onTestFinished(async () => void (await tund.stop()));
    const connect = (...args: string[]) =>
      tund.tunctl(["connect", "-p", String(hole.port), ...args, "127.0.0.1"]);
    expect(await connect("--timeout", "1")).toMatchObject({
      code: 8,
      stdout: "",
      stderr: "tunctl: 127.0.0.1 was not connected within 1 s\n",
    });
    expect(JSON.parse((await tund.tunctl(["status", "--json"])).stdout)).toMatchObject({ masters: [] });
    for (const bad of ["0", "86401", "x"]) expect(await connect("--timeout", bad)).toMatchObject({ code: 2 });
  });

  it("is no hindrance to one that answers", async () => {
    const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
    onTestFinished(async () => void (await tund.stop()));
    expect(await tund.tunctl(["connect", "--timeout", "60", "testhost"])).toMatchObject({
      code: 0,
      stderr: "",
    });
    const { masters } = JSON.parse((await tund.tunctl(["status", "--json"])).stdout) as {
      masters: unknown[];
    };
    expect(masters).toMatchObject([{ host: "testhost", state: "ready" }]);
  });
});
