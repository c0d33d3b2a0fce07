// Where mux sockets are, whose they are, and what becomes of them.
import { spawn } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { seen } from "../support/mux.ts";
import { type Outcome, run } from "../support/run.ts";
import { startSshd } from "../support/sshd.ts";
import { refuses, works } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;
let ours: string;

const ssh = (path: string, ...args: string[]): Promise<Outcome> =>
  run("ssh", ["-F", tunnel.sshd.sshConfig, "-S", path, ...args]);

beforeAll(async () => {
  tunnel = await startTunnel();
  await tunnel.ok("connect", "testhost");
  ours = (await tunnel.master())?.muxSocket ?? "none";
});
afterAll(() => tunnel?.stop());

const to = (): string => `127.0.0.1:${tunnel.echo.port}`;

describe("a mux socket", () => {
  it("is private, and found by ssh without -S when ssh_config says where", async () => {
    expect(statSync(ours).mode & 0o777).toBe(0o600);
    const env = { ...process.env, XDG_RUNTIME_DIR: join(tunnel.tund.home, "run") };
    await tunnel.sshd.addHost("testhost", { ControlPath: "${XDG_RUNTIME_DIR}/tund/mux/%C" });
    const found = await run("ssh", ["-F", tunnel.sshd.sshConfig, "-O", "check", "testhost"], { env });
    expect(found.stderr).toContain(`pid=${tunnel.tund.pid}`);
  });

  it("tells trouble with the link by request, and never sends ssh on its own way", async () => {
    const port = await freePort();
    await tunnel.ok("connect", "testhost");
    await tunnel.sshd.down();
    onTestFinished(async () => {
      await tunnel.sshd.up();
      await tunnel.ok("reconnect", "testhost");
    });
    await eventually(async () => expect((await tunnel.master())?.state).toBe("waiting"));
    expect(seen(await ssh(ours, "-O", "check", "x"))).toMatchObject({
      code: 255,
      stderr: ["muxclient: master alive check failed", ""],
    });
    expect(await ssh(ours, "-O", "forward", "-L", `${port}:${to()}`, "x")).toMatchObject({
      code: 255,
      stderr: expect.stringMatching(/Port forwarding failed\r\ntund: .*(refused|cannot connect)/) as string,
    });
    expect(await tunnel.forwards()).toEqual([]);
    expect(await refuses(port)).toBe(true);
  });

  it("is shared by names of one master, and each name's own where ssh_config's ControlPath says so", async () => {
    const sshd = await startSshd();
    onTestFinished(() => sshd.stop());
    await sshd.addHost("one", { ControlPath: `${sshd.directory}/%n.sock` });
    await sshd.addHost("two", { ControlPath: `${sshd.directory}/%n.sock` });
    await sshd.addHost("none", { ControlPath: "none" });
    const tund = await startTund({
      env: { TUND_SSH_CONFIG: sshd.sshConfig, TUND_CONTROL_PATH: "ssh_config" },
    });
    onTestFinished(async () => void (await tund.stop()));
    for (const name of ["one", "two", "none"]) expect((await tund.tunctl(["connect", name])).code).toBe(0);
    const at = (name: string) => run("ssh", ["-F", sshd.sshConfig, "-O", "check", name]);
    expect([(await at("one")).code, (await at("two")).code]).toEqual([0, 0]);
    expect((await at("none")).stderr).toContain("No ControlPath specified");
    expect((await run("ssh", ["-F", sshd.sshConfig, "-O", "exit", "two"])).code).toBe(0);
    expect([existsSync(`${sshd.directory}/one.sock`), existsSync(`${sshd.directory}/two.sock`)]).toEqual([
      false,
      false,
    ]);
  });

  it("is nowhere if that is wanted, and its forwards are kept if that is wanted", async () => {
    const { sshd } = tunnel;
    const [port, home] = [await freePort(), join(sshd.directory, "home")];
    const env = { TUND_SSH_CONFIG: sshd.sshConfig };
    const none = await startTund({ env: { ...env, TUND_CONTROL_PATH: "none" } });
    onTestFinished(async () => void (await none.stop()));
    await none.tunctl(["connect", "testhost"]);
    expect((await none.tunctl(["status", "--json"])).stdout).toContain('"muxSocket": null');
    const path = join(sshd.directory, "kept.sock");
    const persistent = { home, env: { ...env, TUND_MUX_FORWARDS: "persistent", TUND_CONTROL_PATH: path } };
    const first = await startTund(persistent);
    onTestFinished(async () => void (await first.stop()));
    await first.tunctl(["connect", "testhost"]);
    expect((await ssh(path, "-O", "forward", "-L", `${port}:${to()}`, "x")).code).toBe(0);
    await first.stop("SIGKILL");
    expect(existsSync(path)).toBe(true); // stale, and replaced
    const second = await startTund(persistent);
    onTestFinished(async () => void (await second.stop()));
    await eventually(async () => expect((await ssh(path, "-O", "check", "x")).code).toBe(0));
    await eventually(() => works(port));
    await second.stop();
    expect(existsSync(path)).toBe(false);
  });
});

describe("tunctl connect -S", () => {
  it("has the master driven there, or says why not and leaves nothing", async () => {
    const { sshd, tund } = tunnel;
    const theirs = join(sshd.directory, "cm");
    const master = spawn("ssh", ["-F", sshd.sshConfig, "-S", theirs, "-MN", "testhost"], { stdio: "ignore" });
    onTestFinished(() => void master.kill());
    await eventually(async () => expect((await ssh(theirs, "-O", "check", "x")).code).toBe(0));
    await sshd.addHost("elsewhere", { ServerAliveInterval: 77 });
    const path = join(sshd.directory, "given.sock");
    expect((await tund.tunctl(["connect", "-S", path, "elsewhere"])).code).toBe(0);
    expect((await ssh(path, "-O", "check", "x")).code).toBe(0);
    expect((await tund.tunctl(["-O", "check", "-S", path, "x"])).stderr).toContain("Master running");
    expect((await ssh(path, "-O", "exit", "x")).code).toBe(0);
    for (const [bad, why] of [
      [theirs, "another master answers on"],
      [join(sshd.directory, "ssh_config"), "exists and is not a socket"],
      [join(sshd.directory, "no", "such"), "cannot listen on"],
      [`/tmp/${"x".repeat(120)}`, "107 are the limit"],
      [ours, "is that of testhost"],
    ] as const) {
      const refused = await tund.tunctl(["connect", "-S", bad, "elsewhere"]);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toContain(why);
      expect((await tund.tunctl(["check", "elsewhere"])).code).toBe(4);
    }
    expect((await ssh(theirs, "-O", "check", "x")).code).toBe(0);
  });
});
