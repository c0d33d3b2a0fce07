import { spawn } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type Outcome, run } from "../support/run.ts";
import { refuses } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

// The same command lines for `tunctl` and for the real `ssh` with a real master: same exit code, same words.
let tunnel: Tunnel;
let controlPath: string;
let master: ReturnType<typeof spawn>;

const ssh = (...args: string[]) => run("ssh", ["-F", tunnel.sshd.sshConfig, "-S", controlPath, ...args]);
const tunctl = (...args: string[]) => tunnel.tund.tunctl(args);
const startMaster = async () => {
  master = spawn("ssh", ["-F", tunnel.sshd.sshConfig, "-S", controlPath, "-M", "-N", "testhost"], {
    stdio: "ignore",
  });
  await eventually(async () => expect((await ssh("-O", "check", "testhost")).code).toBe(0));
};

beforeAll(async () => {
  tunnel = await startTunnel();
  controlPath = join(tunnel.sshd.directory, "cm");
  await startMaster();
  await tunnel.ok("connect", "testhost");
});
afterAll(async () => {
  master?.kill();
  await tunnel?.stop();
});

const pid = /pid=\d+/g;
/** What scripts can see of an outcome; tund's own reasons are lines of their own. */
const seen = ({ code, stdout, stderr }: Outcome) => ({
  code,
  stdout,
  stderr: stderr
    .replaceAll(pid, "pid=N")
    .split("\r\n")
    .filter((line) => !line.startsWith("tund: ")),
});

async function alike(...args: string[]): Promise<ReturnType<typeof seen>> {
  const [theirs, ours] = [seen(await ssh(...args)), seen(await tunctl(...args))];
  expect(ours).toEqual(theirs);
  return ours;
}

describe("tunctl -O", () => {
  it("checks a master as ssh does, quiet or not, wherever the options stand", async () => {
    expect(await alike("-O", "check", "testhost")).toEqual({
      code: 0,
      stdout: "",
      stderr: ["Master running (pid=N)", ""],
    });
    await alike("-q", "-O", "check", "testhost");
    await alike("testhost", "-O", "check");
    await alike("-qO", "check", "-p", "22", "testhost");
  });

  it("forwards and cancels, each for itself, with ssh's codes", async () => {
    const to = `127.0.0.1:${tunnel.echo.port}`;
    const port = await freePort();
    // One after the other on the same port: each must have let it go.
    for (const each of [ssh, tunctl]) {
      expect(seen(await each("-O", "forward", "-L", `${port}:${to}`, "testhost"))).toEqual({
        code: 0,
        stdout: "",
        stderr: [""],
      });
      expect(seen(await each("-O", "forward", "-L", `${port}:${to}`, "testhost")).code).toBe(0);
      expect(await refuses(port)).toBe(false);
      expect(seen(await each("-O", "cancel", "-L", `${port}:${to}`, "testhost"))).toEqual({
        code: 0,
        stdout: "",
        stderr: [""],
      });
      expect(await refuses(port)).toBe(true);
    }
    expect(await alike("-O", "cancel", "-L", `${port}:${to}`, "testhost")).toMatchObject({
      code: 0,
      stderr: [
        "mux_client_forward: forwarding request failed: port not forwarded",
        "muxclient: master cancel forward request failed",
        "",
      ],
    });
    expect((await alike("-O", "forward", "-R", `/no/such/dir/r.sock:${to}`, "testhost")).code).toBe(255);
    expect((await alike("-O", "forward", "-L", `/no/such/dir/l.sock:${to}`, "testhost")).code).toBe(255);
    expect(await alike("-q", "-O", "forward", "-L", `/no/such/dir/l.sock:${to}`, "testhost")).toMatchObject({
      code: 255,
      stderr: [""],
    });
  });

  it("prints the port that the server chose, alone, and the same one again", async () => {
    const to = `127.0.0.1:${tunnel.echo.port}`;
    for (const each of [ssh, tunctl]) {
      const first = await each("-O", "forward", "-R", `0:${to}`, "testhost");
      expect(seen(first)).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^\d+\n$/) as string,
        stderr: [""],
      });
      expect((await each("-O", "forward", "-R", `0:${to}`, "testhost")).stdout).toBe(first.stdout);
      expect(seen(await each("-O", "cancel", "-R", `0:${to}`, "testhost")).code).toBe(0);
    }
  });

  it("goes on after one that failed", async () => {
    const port = await freePort();
    const { code } = await tunctl(
      "-O",
      "forward",
      "-L",
      "/no/such/dir/x:a:1",
      "-D",
      String(port),
      "testhost",
    );
    expect(code).toBe(255);
    expect(await refuses(port)).toBe(false);
    await tunctl("-O", "cancel", "-D", String(port), "testhost");
    expect(await refuses(port)).toBe(true);
  });

  it("takes the forwards of ssh_config along, and none under ClearAllForwardings", async () => {
    const [configured, own] = [await freePort(), await freePort()];
    await tunnel.sshd.addHost("with-forwards", {
      LocalForward: `${configured} a:1`,
      ServerAliveInterval: 33,
    });
    await tunctl("connect", "-o", "ClearAllForwardings=yes", "with-forwards");
    const cleared = await tunctl(
      "-O",
      "forward",
      "-o",
      "ClearAllForwardings=yes",
      "-L",
      `${own}:b:1`,
      "with-forwards",
    );
    expect(cleared).toMatchObject({ code: 0, stderr: "" });
    expect([await refuses(configured), await refuses(own)]).toEqual([true, true]);
    expect(await tunctl("-O", "forward", "-L", `${own}:b:1`, "with-forwards")).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect([await refuses(configured), await refuses(own)]).toEqual([false, false]);
    await tunctl("exit", "with-forwards");
  });

  it("refuses what it does not know as ssh does", async () => {
    expect((await alike("-O", "frobnicate", "testhost")).code).toBe(255);
    expect((await tunctl("-O", "forward", "-L", "nonsense", "testhost")).code).toBe(255);
    expect(seen(await tunctl("-O", "forward", "-L", "nonsense", "testhost")).stderr[0]).toBe(
      "Bad local forwarding specification 'nonsense'",
    );
  });

  it("stops and exits with ssh's words, and then finds no master", async () => {
    await alike("-O", "exit", "testhost");
    await eventually(async () => expect((await ssh("-O", "check", "testhost")).code).toBe(255));
    const [theirs, ours] = [
      await ssh("-O", "check", "testhost"),
      await tunctl("-S", controlPath, "-O", "check", "testhost"),
    ];
    expect(seen(ours)).toEqual(seen(theirs));
    await startMaster();
    await tunctl("connect", "testhost");
    await alike("-O", "stop", "testhost");
    await tunctl("connect", "testhost");
    expect(seen(await tunctl("-q", "-O", "exit", "testhost"))).toEqual({ code: 0, stdout: "", stderr: [""] });
  });
});
