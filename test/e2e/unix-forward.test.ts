import { existsSync } from "node:fs";
import { rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Forward } from "../../shared/records.ts";
import { startTund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { dialPath, echoed } from "../support/tcp.ts";
import { closing, startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;
const to = () => `127.0.0.1:${tunnel.echo.port}`;

beforeAll(async () => {
  tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

/** Sets forwards up for this test alone. */
async function forward(...args: string[]): Promise<Forward[]> {
  const { forwards } = JSON.parse(await tunnel.ok("forward", "--json", ...args, "testhost")) as {
    forwards: Forward[];
  };
  onTestFinished(async () => {
    for (const { id } of forwards) await tunnel.tund.tunctl(["cancel", id]);
  });
  return forwards;
}

describe("a Unix socket that is listened on", () => {
  const path = (name: string) => join(tunnel.sshd.directory, name);

  it("is 0600, carries bytes, and is removed when it is cancelled", async () => {
    const [record] = await forward("-L", `${path("l.sock")}:${to()}`);
    expect(record).toMatchObject({
      state: "active",
      boundTo: [path("l.sock")],
      bind: { path: path("l.sock") },
    });
    expect((await stat(path("l.sock"))).mode & 0o777).toBe(0o600);
    const socket = await dialPath(path("l.sock"));
    expect(await echoed(socket, "local path")).toBe("local path");
    socket.destroy();
    await tunnel.ok("cancel", "-L", path("l.sock"), "testhost");
    expect(existsSync(path("l.sock"))).toBe(false);
  });

  it("may have another mode by StreamLocalBindMask", async () => {
    await tunnel.sshd.addHost("masked", { StreamLocalBindMask: "0117" });
    await tunnel.ok("forward", "-L", `${path("m.sock")}:${to()}`, "masked");
    expect((await stat(path("m.sock"))).mode & 0o777).toBe(0o660);
    await tunnel.ok("exit", "masked");
    expect(existsSync(path("m.sock"))).toBe(false);
  });

  it("takes the place of a stale one, and of nothing else", async () => {
    const stale = createServer().listen(path("stale.sock"));
    await eventually(() => stale.listening);
    // As a process that was killed leaves it: the file stays, and nobody answers.
    await writeFile(path("keep"), "");
    const tund = await startTund({ env: { TUND_SSH_CONFIG: tunnel.sshd.sshConfig } });
    await tund.tunctl(["forward", "-L", `${path("left.sock")}:${to()}`, "testhost"]);
    await tund.stop("SIGKILL");
    expect(existsSync(path("left.sock"))).toBe(true);
    await forward("-L", `${path("left.sock")}:${to()}`);
    const socket = await dialPath(path("left.sock"));
    expect(await echoed(socket, "replaced")).toBe("replaced");
    socket.destroy();

    const answered = await tunnel.tund.tunctl(["forward", "-L", `${path("stale.sock")}:${to()}`, "testhost"]);
    expect(answered).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("somebody listens on it") as string,
    });
    stale.close();
    const file = await tunnel.tund.tunctl(["forward", "-L", `${path("keep")}:${to()}`, "testhost"]);
    expect(file).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("there is a file that is no socket") as string,
    });
    expect(existsSync(path("keep"))).toBe(true);
  });

  it("is replaced though somebody answers under StreamLocalBindUnlink, and not removed if it is not ours any more", async () => {
    const rival = closing(await echoServer({ path: path("rival.sock") }));
    await tunnel.sshd.addHost("unlinking", { StreamLocalBindUnlink: "yes" });
    await tunnel.ok("forward", "-L", `${path("rival.sock")}:${to()}`, "unlinking");
    const socket = await dialPath(path("rival.sock"));
    expect(await echoed(socket, "ours")).toBe("ours");
    socket.destroy();
    expect(rival.connections().total).toBe(0);
    // Somebody else puts a file there: it is not ours to remove.
    await rm(path("rival.sock"));
    await writeFile(path("rival.sock"), "theirs");
    await tunnel.ok("exit", "unlinking");
    expect(existsSync(path("rival.sock"))).toBe(true);
  });

  it("may be named relative to where tunctl runs, on our side, and is cancelled so", async () => {
    const cwd = tunnel.sshd.directory;
    const there = { cwd, env: { PWD: cwd } };
    const done = await tunnel.tund.tunctl(["forward", "-L", `./rel.sock:${to()}`, "testhost"], there);
    expect(done).toMatchObject({ code: 0, stderr: "" });
    const socket = await dialPath(path("rel.sock"));
    expect(await echoed(socket, "relative")).toBe("relative");
    socket.destroy();
    expect(await tunnel.tund.tunctl(["cancel", "-L", "./rel.sock", "testhost"], there)).toMatchObject({
      code: 0,
    });
    expect(existsSync(path("rel.sock"))).toBe(false);
  });

  it("whose path is too long, or leads nowhere, is refused", async () => {
    const long = await tunnel.tund.tunctl(["forward", "-L", `/tmp/${"x".repeat(110)}:${to()}`, "testhost"]);
    expect(long).toMatchObject({ code: 2, stderr: expect.stringContaining("at most 107 bytes") as string });
    const nowhere = await tunnel.tund.tunctl(["forward", "-L", `/no/such/dir/s:${to()}`, "testhost"]);
    expect(nowhere).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no such directory") as string,
    });
  });
});
