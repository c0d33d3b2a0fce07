// The unmodified ssh drives tund: the same command lines at a master of its own and at ours.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { seen } from "../support/mux.ts";
import { type Outcome, run } from "../support/run.ts";
import { refuses, works } from "../support/tcp.ts";
import { startAtTerminal, noTerminal } from "../support/terminal.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;
let theirs: string;
let ours: string;
let master: ReturnType<typeof spawn>;

const ssh = (path: string, ...args: string[]): Promise<Outcome> =>
  run("ssh", ["-F", tunnel.sshd.sshConfig, "-S", path, ...args]);
const muxSocket = async (): Promise<string> => (await tunnel.master())?.muxSocket ?? "none";

async function connectBoth(): Promise<void> {
  theirs = join(tunnel.sshd.directory, "cm");
  master = spawn("ssh", ["-F", tunnel.sshd.sshConfig, "-S", theirs, "-M", "-N", "testhost"], {
    stdio: "ignore",
  });
  await eventually(async () => expect((await ssh(theirs, "-O", "check", "testhost")).code).toBe(0));
  await tunnel.ok("connect", "testhost");
  ours = await muxSocket();
}

beforeAll(async () => {
  tunnel = await startTunnel();
  await connectBoth();
});
afterAll(async () => {
  master?.kill();
  await tunnel?.stop();
});

/** Both must look the same to a script. */
async function alike(...args: string[]): Promise<ReturnType<typeof seen>> {
  const expected = seen(await ssh(theirs, ...args));
  expect(seen(await ssh(ours, ...args))).toEqual(expected);
  return expected;
}

const to = (): string => `127.0.0.1:${tunnel.echo.port}`;

describe("ssh -O at a mux socket", () => {
  it("checks, quiet or not", async () => {
    expect(await alike("-O", "check", "x")).toMatchObject({
      code: 0,
      stderr: ["Master running (pid=N)", ""],
    });
    await alike("-q", "-O", "check", "x");
    expect((await ssh(ours, "-O", "check", "x")).stderr).toContain(`(pid=${tunnel.tund.pid})`);
  });

  it("forwards and cancels every kind, again and again, in ssh's words", async () => {
    const [port, other] = [await freePort(), await freePort()];
    for (const path of [theirs, ours]) {
      for (const spec of [
        ["-L", `${port}:${to()}`],
        ["-D", String(port)],
        ["-L", `127.0.0.1:${port}:${to()}`],
        ["-R", `${other}:${to()}`],
        ["-R", String(other)],
      ]) {
        const listening = spec[0] === "-R" ? other : port;
        expect(seen(await ssh(path, "-O", "forward", ...spec, "x"))).toEqual({
          code: 0,
          stdout: "",
          stderr: [""],
        });
        expect(seen(await ssh(path, "-O", "forward", ...spec, "x"))).toEqual({
          code: 0,
          stdout: "",
          stderr: [""],
        });
        expect(await refuses(listening)).toBe(false);
        expect(seen(await ssh(path, "-O", "cancel", ...spec, "x"))).toEqual({
          code: 0,
          stdout: "",
          stderr: [""],
        });
        await eventually(async () => expect(await refuses(listening)).toBe(true));
      }
    }
    expect(await alike("-O", "cancel", "-L", `${port}:${to()}`, "x")).toMatchObject({
      code: 0,
      stderr: [
        "mux_client_forward: forwarding request failed: port not forwarded",
        "muxclient: master cancel forward request failed",
        "",
      ],
    });
    await alike("-O", "cancel", "-R", `${other}:a:1`, "-D", String(port), "x");
    await alike("-q", "-O", "cancel", "-D", String(port), "x");
    await alike("-O", "forward", "x");
  });

  it("fails as ssh does, goes on after one that failed, and leaves no phantom", async () => {
    const [port, good] = [await freePort(), await freePort()];
    for (const args of [
      ["-L", "/no/such/dir/l.sock:a:1"],
      ["-R", "/no/such/dir/r.sock:a:1"],
      ["-D", "/tmp/dynamic.sock"],
    ]) {
      expect((await alike("-O", "forward", ...args, "x")).code).toBe(255);
      expect((await alike("-O", "forward", ...args, "x")).code).toBe(255);
      expect((await alike("-O", "cancel", ...args, "x")).stderr).toContain(
        "mux_client_forward: forwarding request failed: port not forwarded",
      );
    }
    await tunnel.ok("forward", "-L", `${port}:${to()}`, "testhost");
    const taken = await ssh(ours, "-O", "forward", "-L", `${port}:a:1`, "-L", `${good}:${to()}`, "x");
    expect(taken.code).toBe(255);
    // ssh's own line, then why, as a line of ours.
    expect(taken.stderr).toMatch(
      /forwarding request failed: Port forwarding failed\r\ntund: .* held by forward/,
    );
    await works(good);
    await tunnel.ok("cancel", "-L", String(port), "-L", String(good), "testhost");
  });

  it("prints the port that the server chose, and the same one for the same forward", async () => {
    for (const path of [theirs, ours]) {
      const spec = ["-R", `0:${to()}`, "x"];
      const first = await ssh(path, "-O", "forward", ...spec);
      expect(seen(first)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\n$/) as string });
      expect((await ssh(path, "-O", "forward", ...spec)).stdout).toBe(first.stdout);
      await works(Number(first.stdout));
      expect(seen(await ssh(path, "-O", "cancel", ...spec))).toMatchObject({ code: 0, stderr: [""] });
    }
  });

  it("makes forwards like any others: listed, cancelled from either side, there again with the link", async () => {
    const [port, there] = [await freePort(), await freePort()];
    await ssh(ours, "-O", "forward", "-L", `${port}:${to()}`, "-R", `${there}:${to()}`, "x");
    expect(await tunnel.forwardOn(port)).toMatchObject({
      host: "testhost",
      state: "active",
      persistent: false,
    });
    const { reconnects = 0 } = (await tunnel.master()) ?? {};
    tunnel.sshd.dropSessions();
    await eventually(async () => expect((await tunnel.master())?.reconnects).toBe(reconnects + 1));
    await eventually(() => works(there));
    await works(port);
    await tunnel.ok("cancel", "-L", String(port), "testhost");
    expect((await ssh(ours, "-O", "cancel", "-L", `${port}:${to()}`, "x")).stderr).toContain(
      "port not forwarded",
    );
    await ssh(ours, "-O", "cancel", "-R", `${there}:${to()}`, "x");
    expect(await tunnel.forwards()).toEqual([]);
    // Its own master has lost its link for good: it is made again for the tests that follow.
    master.kill();
    await connectBoth();
  });

  it.each([
    ["a pipe", "", "in"],
    ["/dev/null", "</dev/null", ""],
    ["a file", "</etc/hostname", hostname()],
  ])("leaves a session with %s to ssh itself, which runs it; nothing of it stays", async (_, stdin, out) => {
    const fds = tunnel.tund.fds();
    const line = `ssh -F ${tunnel.sshd.sshConfig} -S ${ours} testhost 'cat; exit 7' ${stdin}`;
    const outcome = await run("sh", ["-c", line], { input: "in" });
    expect({ code: outcome.code, out: outcome.stdout.trim() }).toEqual({ code: 7, out });
    expect(outcome.stderr).toContain(
      "mux_client_request_session: session request failed: tund has no sessions",
    );
    await eventually(() => expect(tunnel.tund.fds()).toBeLessThanOrEqual(fds));
  });

  it.skipIf(noTerminal !== null)("leaves a session at a terminal to ssh too", async () => {
    const args = ["-F", tunnel.sshd.sshConfig, "-S", ours, "-tt", "testhost", "echo here; exit 5"];
    const terminal = startAtTerminal("ssh", args, { PATH: process.env["PATH"], TERM: "dumb" });
    await terminal.shows("here");
    expect(await terminal.end).toBe(5);
    expect((await ssh(ours, "-O", "check", "x")).code).toBe(0);
  });

  it("refuses -W and proxy mode with what to do, and 255", async () => {
    expect(await ssh(ours, "-W", to(), "testhost")).toMatchObject({
      code: 255,
      stderr: expect.stringContaining("tunctl -W DEST testhost") as string,
    });
    expect(await ssh(ours, "-O", "proxy", "testhost")).toMatchObject({
      code: 255,
      stderr: expect.stringContaining("mux_client_proxy: master returned error") as string,
    });
  });

  it("stops and exits: the socket is gone when ssh is answered", async () => {
    for (const [command, text] of [
      ["stop", "Stop listening request sent."],
      ["exit", "Exit request sent."],
    ] as const) {
      const before = { theirs, ours };
      expect(await alike("-O", command, "x")).toMatchObject({ code: 0, stderr: [text, ""] });
      expect(existsSync(before.ours)).toBe(false);
      expect(seen(await ssh(ours, "-O", "check", "x"))).toEqual({
        code: 255,
        stdout: "",
        stderr: [`Control socket connect(${ours}): No such file or directory`, ""],
      });
      await eventually(async () => expect(await tunnel.master()).toBeUndefined());
      master.kill();
      await connectBoth();
    }
    expect((await ssh(ours, "-q", "-O", "exit", "x")).stderr).toBe("");
    await tunnel.ok("connect", "testhost");
    ours = await muxSocket();
  });
});
