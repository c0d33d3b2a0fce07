// A Unix socket whose queue is full is nobody's leftover: whoever listens there is busy, and is not to be replaced.
import { lstatSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startInBackground } from "../support/background.ts";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { tempDir } from "../support/temp-dir.ts";
import { startTunnel } from "../support/tunnel.ts";

const LISTEN = `require("node:net").createServer().listen({ path: process.argv[1], backlog: 1 }, () => console.log("up"))`;

/** Listens on a path in a process that is stopped, and fills its queue. Gives what tells whether it is there still. */
async function busySocket(path: string): Promise<() => boolean> {
  const child = await startInBackground(process.execPath, ["-e", LISTEN, path], {
    env: process.env,
    cwd: "/",
  });
  onTestFinished(() => child.kill("SIGKILL"));
  await eventually(() => child.log().includes("up"));
  child.kill("SIGSTOP");
  const sockets: Socket[] = [];
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
  for (let errno: string | undefined; errno !== "EAGAIN";) {
    const socket = connect(path);
    sockets.push(socket);
    errno = await new Promise((resolve) => {
      socket.once("connect", () => resolve(undefined));
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    });
  }
  const { ino } = lstatSync(path);
  return () => lstatSync(path).ino === ino;
}

it("is not replaced by the control socket of another tund", async () => {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const path = join(directory.path, "tund.sock");
  const isThere = await busySocket(path);
  // It does not come up, and says why.
  await expect(startTund({ env: { TUND_SOCKET: path }, deadlineMs: 10_000 })).rejects.toThrow(
    `another tund holds ${path}`,
  );
  expect(isThere()).toBe(true);
});

it("nor by one that takes the state directory of another", async () => {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const isThere = await busySocket(join(directory.path, "lock"));
  await expect(startTund({ env: { TUND_STATE_DIR: directory.path }, deadlineMs: 10_000 })).rejects.toThrow(
    `another tund uses the state directory ${directory.path}`,
  );
  expect(isThere()).toBe(true);
});

it("nor by a forward, nor by a master's mux socket", async () => {
  const tunnel = await startTunnel();
  onTestFinished(() => tunnel.stop());
  const path = join(tunnel.sshd.directory, "busy");
  const isThere = await busySocket(path);
  expect(await tunnel.tund.tunctl(["forward", "-L", `${path}:a:80`, "testhost"])).toMatchObject({
    code: 5,
    stderr: `tunctl: cannot listen on ${path}: somebody listens on it\n`,
  });
  expect(await tunnel.tund.tunctl(["connect", "-S", path, "testhost"])).toMatchObject({
    code: 5,
    stderr: `tunctl: no mux socket: another master answers on ${path}\n`,
  });
  expect(isThere()).toBe(true);
});
