// `tunctl -M`: masters as `ssh -M` has them. The same command lines for both, and what scripts can see of each.
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Status } from "../../shared/records.ts";
import { type Background, startInBackground } from "../support/background.ts";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { at, pidAt, seen } from "../support/mux.ts";
import { type Outcome, run } from "../support/run.ts";
import { dialLoopback, echoed, refuses, works } from "../support/tcp.ts";
import { tempDir } from "../support/temp-dir.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

const TUNCTL = fileURLToPath(new URL("../../dist/tunctl.cjs", import.meta.url));
const programs = [
  ["ssh", ["ssh"]],
  ["tunctl", [process.execPath, TUNCTL]],
] as const;

let tunnel: Tunnel;
let env: NodeJS.ProcessEnv;
let count = 0;

beforeAll(async () => {
  tunnel = await startTunnel();
  env = { PATH: process.env["PATH"], HOME: tunnel.tund.home, TUND_SOCKET: tunnel.tund.socket };
});
afterAll(() => tunnel?.stop());

type Program = (typeof programs)[number][1];

/** A path for a mux socket, of its own. */
const newPath = (): string => join(tunnel.sshd.directory, `held${count++}`);
const to = (): string => `127.0.0.1:${tunnel.echo.port}`;

/** Runs it to its end, which comes at once with -f. */
function runs([program, ...first]: Program, ...args: string[]): Promise<Outcome> {
  return run(program, [...first, "-F", tunnel.sshd.sshConfig, ...args], { env });
}

/** Starts it in the foreground, and waits for its socket. */
async function starts([program, ...first]: Program, path: string, ...args: string[]): Promise<Background> {
  const all = [...first, "-F", tunnel.sshd.sshConfig, "-M", "-S", path, "-N", ...args, "testhost"];
  const master = await startInBackground(program, all, { env, cwd: tunnel.tund.home });
  onTestFinished(() => master.kill("SIGKILL"));
  await eventually(() => expect({ is: existsSync(path), said: master.log() }).toMatchObject({ is: true }));
  return master;
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const masters = async () => (JSON.parse(await tunnel.ok("status", "--json")) as Status).masters;

describe.each(programs)("%s -M in the foreground", (_, program) => {
  it("is what check names, and ends with the master that is told to exit", async () => {
    const path = newPath();
    const master = await starts(program, path);
    expect(await pidAt(path)).toBe(master.pid);
    expect((await at(path, "exit")).stderr).toBe("Exit request sent.\r\n");
    expect(await master.end).toEqual({ code: 255, signal: null });
    expect(master.log()).toBe("");
    expect(existsSync(path)).toBe(false); // ssh's may be there still when it answers
  });

  it.each([
    ["SIGTERM", 0],
    ["SIGHUP", 255],
  ] as const)("ends its master at %s", async (signal, code) => {
    const [path, port] = [newPath(), await freePort()];
    const master = await starts(program, path, "-L", `${port}:${to()}`);
    await works(port);
    master.kill(signal);
    expect(await master.end).toMatchObject({ code });
    expect(existsSync(path)).toBe(false);
    expect(await refuses(port)).toBe(true);
  });

  it("ends with its link, and says so", async () => {
    const [path, port] = [newPath(), await freePort()];
    const master = await starts(program, path, "-D", String(port));
    tunnel.sshd.dropSessions();
    expect(await master.end).toMatchObject({ code: 255 });
    expect(master.log()).toMatch(/^Connection to 127\.0\.0\.1 closed by remote host\.\r\n/);
    expect(existsSync(path)).toBe(false);
    expect(await refuses(port)).toBe(true);
  });

  it("takes forwards before, behind and by the socket, and tells the port that the server chose", async () => {
    const [path, port, more] = [newPath(), await freePort(), await freePort()];
    const master = await starts(program, path, "-L", `${port}:${to()}`, "-R", `0:${to()}`);
    await eventually(() => expect(master.log()).toMatch(/^Allocated port \d+ for remote forward to 127/));
    expect((await at(path, "forward", "-L", `${more}:${to()}`)).code).toBe(0);
    for (const each of [port, more, Number(/\d+/.exec(master.log())?.[0])]) await works(each);
    expect((await at(path, "exit")).code).toBe(0);
    await eventually(async () => expect([await refuses(port), await refuses(more)]).toEqual([true, true]));
  });
});

describe.each(programs)("%s -M -f", (name, program) => {
  it("goes to the background, and is a process that lives as long as the master", async () => {
    const [path, port] = [newPath(), await freePort()];
    const args = ["-fNMS", path, "testhost", "-L", `${port}:${to()}`];
    expect(await runs(program, ...args)).toMatchObject({ code: 0, stdout: "", stderr: "" });
    await works(port);
    const pid = await pidAt(path);
    expect(isAlive(pid)).toBe(true);
    expect((await at(path, "exit")).code).toBe(0);
    await eventually(() => expect(isAlive(pid)).toBe(false));
    await runs(program, ...args);
    process.kill(await pidAt(path));
    await eventually(() => expect(existsSync(path)).toBe(false));
    await eventually(async () => expect(await refuses(port)).toBe(true));
  });

  it("fails where ExitOnForwardFailure says so, and else tells what is missing", async () => {
    const [path, port] = [newPath(), await freePort()];
    for (const [args, said] of [
      [["-R", "/no/such/r:a:1"], "remote port forwarding failed for listen path /no/such/r"],
      [["-L", "/no/such/l:a:1"], "Could not request local forwarding."],
    ] as const) {
      const all = ["-M", "-S", path, "-f", "-N", "-L", `${port}:${to()}`, ...args, "testhost"];
      const strict = await runs(program, "-o", "ExitOnForwardFailure=yes", ...all);
      expect(strict).toMatchObject({ code: 255, stderr: expect.stringContaining(said) as string });
      expect([existsSync(path), await refuses(port)]).toEqual([false, true]);
      const lenient = await runs(program, ...all);
      expect(lenient.code).toBe(0); // ssh may be in the background before it is told of a remote one
      await works(port);
      expect((await at(path, "exit")).code).toBe(0);
    }
  });

  it("is what ControlPersist means too, until nothing was connected for so long", async () => {
    const [path, port] = [newPath(), await freePort()];
    const args = ["-MN", "-S", path, "-L", `${port}:${to()}`, "-o", "ControlPersist=1", "testhost"];
    expect((await runs(program, ...args)).code).toBe(0);
    const held = await dialLoopback(port);
    expect(await echoed(held, "held")).toBe("held");
    // Longer than that, and still there: it is in use.
    const started = performance.now();
    await eventually(() => performance.now() - started > 1500);
    expect(await echoed(held, "still")).toBe("still");
    held.destroy();
    await eventually(() => expect({ name, is: existsSync(path) }).toEqual({ name, is: false }));
  });

  it("fails with 255 for whatever is in its way, and leaves nothing", async () => {
    const path = newPath();
    const port = await freePort();
    for (const args of [
      ["-L", "bad", "testhost"],
      ["-p", String(port), "testhost"],
      ["-o", "BatchMode=yes", "-l", "no-such-user", "testhost"],
      ["-S", "/no/such/directory/m", "testhost"],
      [],
    ]) {
      const failed = await runs(program, "-fNM", "-S", path, ...args);
      expect(failed.code).toBe(255);
      expect(failed.stderr).not.toBe("");
      expect(existsSync(path)).toBe(false);
    }
  });
});

describe("tunctl -M", () => {
  const [, program] = programs[1];

  it("has a master beside that of the daemon's own, named by its path, and never reconnected", async () => {
    await tunnel.ok("connect", "testhost");
    const [path, port] = [newPath(), await freePort()];
    await runs(program, "-fNMS", path, "testhost");
    await tunnel.ok("forward", "-L", `${port}:${to()}`, path);
    expect((await masters()).map(({ host, muxSocket }) => [host, muxSocket !== null])).toEqual([
      ["testhost", true],
      [path, true],
    ]);
    expect(await tunnel.forwardOn(port)).toMatchObject({ host: path, persistent: false });
    expect((await tunnel.tund.tunctl(["reconnect", path])).stderr).toContain("its holder's alone");
    expect((await tunnel.tund.tunctl(["-O", "check", "-S", path, "testhost"])).stderr).toContain(
      `pid=${await pidAt(path)}`,
    );
    tunnel.sshd.dropSessions();
    await eventually(async () => expect((await masters()).map(({ host }) => host)).toEqual(["testhost"]));
    // Its master is gone, and the daemon's own is not taken for it.
    expect((await tunnel.tund.tunctl(["-O", "exit", "-S", path, "testhost"])).code).toBe(255);
    await eventually(async () => expect((await masters())[0]?.state).toBe("ready"));
    await tunnel.ok("exit", "testhost");
  });

  it("writes why it ended where -E says", async () => {
    const path = newPath();
    const log = `${path}.log`;
    expect((await runs(program, "-v", "-E", log, "-fNM", "-S", path, "testhost")).stderr).toBe("");
    expect(readFileSync(log, "utf8")).toContain("Authenticated to 127.0.0.1 ([127.0.0.1]:");
    tunnel.sshd.dropSessions();
    await eventually(() => expect(existsSync(path)).toBe(false));
    await eventually(() => expect(readFileSync(log, "utf8")).toMatch(/while it carried nothing .*\r\n$/));
  });

  it("tells what is missing before it goes to the background", async () => {
    const path = newPath();
    const missing = ["-R", "/no/such/r:a:1", "-L", "/no/such/l:a:1"];
    const made = await runs(program, "-fNMS", path, ...missing, "testhost");
    expect(seen(made)).toEqual({
      code: 0,
      stdout: "",
      stderr: [
        "Could not request local forwarding.",
        "Warning: remote port forwarding failed for listen path /no/such/r",
        "",
      ],
    });
    await at(path, "exit");
  });

  it("refuses a path on which a master answers, and replaces a socket on which nobody does", async () => {
    const path = newPath();
    await runs(program, "-fNMS", path, "testhost");
    const second = await runs(program, "-fNMS", path, "testhost");
    expect(second).toMatchObject({ code: 255, stderr: expect.stringContaining(path) as string });
    expect(seen(await at(path, "check"))).toMatchObject({ code: 0 });
    await at(path, "exit");
    const stale = createServer().listen(`${path}.x`);
    await once(stale, "listening");
    const made = await run("sh", ["-c", `ln ${path}.x ${path}`]);
    expect(made.code).toBe(0);
    stale.close();
    expect((await runs(program, "-fNMS", path, "testhost")).code).toBe(0);
    expect((await at(path, "exit")).code).toBe(0);
  });

  it("takes ssh's other options without complaint, and refuses what it cannot do", async () => {
    const path = newPath();
    const line = [
      "-46",
      "-AaCgKkTtnqXxYy",
      "-e",
      "none",
      "-b",
      "127.0.0.1",
      "-o",
      "SendEnv=LANG",
      "-o",
      "SetEnv=A=b",
    ];
    const taken = await runs(program, ...line.slice(1), "-M", "-N", "-f", `-S${path}`, "testhost");
    expect(taken).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
    await at(path, "exit");
    for (const [args, why] of [
      [["testhost", "uptime"], "no sessions"],
      [["-M", "testhost"], "ControlMaster ask"],
      [["--nonsense", "testhost"], "unknown option"],
    ] as const)
      expect(await runs(program, "-M", "-S", path, ...args)).toMatchObject({
        code: 255,
        stderr: expect.stringContaining(why) as string,
      });
  });

  it("starts a daemon where none answers, which has a minute for whoever comes next", async () => {
    const home = await tempDir();
    onTestFinished(() => home.remove());
    const own = { ...env, HOME: home.path, TUND_SOCKET: join(home.path, "r", "tund.sock") };
    const [path, first] = [newPath(), [TUNCTL, "-F", tunnel.sshd.sshConfig]];
    const tunctl = (...args: string[]) =>
      run(process.execPath, [...first.slice(0, 1), ...args], { env: own });
    const made = await run(process.execPath, [...first, "-fNMS", path, "testhost"], { env: own });
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const { daemon, masters: known } = JSON.parse((await tunctl("status", "--json")).stdout) as Status;
    onTestFinished(() => void process.kill(daemon.pid));
    expect(known.map(({ host }) => host)).toEqual([path]);
    // What that does is in idle-exit.test.ts.
    expect(readFileSync(`/proc/${daemon.pid}/cmdline`, "utf8")).toMatch(/\0--while-held\x0060\0$/);
    expect((await at(path, "exit")).code).toBe(0);
    expect((await tunctl("status")).code).toBe(0);
    expect(readFileSync(join(home.path, ".local", "state", "tund", "tund.log"), "utf8")).toContain(
      "tund is ready",
    );
  });

  it("ends with the daemon, as with its link", async () => {
    const tund = await startTund({ env: { TUND_SSH_CONFIG: tunnel.sshd.sshConfig } });
    onTestFinished(async () => void (await tund.stop()));
    const path = newPath();
    const made = await tund.tunctl(["-fNMS", path, "testhost"]);
    expect(made.code).toBe(0);
    const pid = await pidAt(path);
    await tund.stop("SIGKILL");
    await eventually(() => expect(isAlive(pid)).toBe(false));
  });
});
