// Whoever streams notices that nobody reads any more, though there is nothing to print: as tail -f does.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { nativeFile } from "../../shared/native/load.ts";
import { eventually } from "../support/eventually.ts";
import { run } from "../support/run.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

const native = `dist/${nativeFile(process.platform, process.arch)}`;
let tunnel: Tunnel;
let alone: TempDir;

beforeAll(async () => {
  [tunnel, alone] = await Promise.all([startTunnel(), tempDir()]);
  for (const name of ["tunctl.cjs", "tunctl-all.cjs"]) cpSync(`dist/${name}`, join(alone.path, name));
  await tunnel.ok("connect", "testhost");
});
afterAll(async () => {
  await tunnel?.stop();
  await alone?.remove();
});

if (!existsSync(native))
  console.log(`skipped: closed stdout by the compiled file, since there is no ${native}`);
const hasGnuTail = /GNU/.test(String(spawnSync("tail", ["--version"]).stdout));
if (!hasGnuTail) console.log("skipped: closed stdout without the compiled file, since there is no GNU tail");
const programs = [
  ...(existsSync(native) ? [["with the compiled file", () => "dist/tunctl.cjs"] as const] : []),
  ...(hasGnuTail ? [["without the compiled file", () => join(alone.path, "tunctl.cjs")] as const] : []),
];
const env = () => ({ PATH: process.env["PATH"], HOME: "/nonexistent", TUND_SOCKET: tunnel.tund.socket });

describe.each(programs)("%s", (_, program) => {
  it.each(["events", "events --json", "events testhost"])(
    "'tunctl %s | head -1' ends although nothing changes",
    async (line) => {
      const command = `${process.execPath} ${program()} ${line}; echo "exit $?" >&2`;
      const outcome = await run("sh", ["-c", `(${command}) | head -1`], { env: env() });
      expect(outcome).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^[^\n]+\n$/) as string,
        stderr: "exit 0\n",
      });
    },
  );

  it("a socket that is closed is noticed too", async () => {
    // What Node calls a pipe is a pair of sockets.
    const child = spawn(process.execPath, [program(), "events"], { env: env() });
    onTestFinished(() => void child.kill());
    const exited = once(child, "exit"); // from now on: it may come before anything else is heard
    await once(child.stdout, "data");
    child.stdout.destroy();
    expect(await exited).toEqual([0, null]);
  });

  it("a channel ends, although stdin is open and its server says nothing", async () => {
    const { port, accepted } = await silentServer();
    const channel = [process.execPath, program(), "stdio", `127.0.0.1:${port}`, "testhost"].join(" ");
    const child = spawn("sh", ["-c", `(${channel}; echo "exit $?" >&2) | true`], { env: env() });
    onTestFinished(() => void child.kill());
    const exited = once(child, "exit"); // from now on: it may come before anything else is heard
    await accepted;
    const [told] = (await once(child.stderr, "data")) as [Buffer];
    expect(told.toString()).toBe("exit 0\n");
    expect(await exited).toEqual([0, null]);
  });

  it("a channel whose server has said its last is written to all the same", async () => {
    const { port, accepted } = await silentServer();
    const child = spawn(process.execPath, [program(), "stdio", `127.0.0.1:${port}`, "testhost"], {
      env: env(),
    });
    onTestFinished(() => void child.kill());
    const exited = once(child, "exit"); // from now on: it may come before anything else is heard
    const [socket] = await accepted;
    socket.end("last");
    let said = "";
    for await (const chunk of child.stdout) said += String(chunk); // tunctl has closed its end of it
    expect(said).toBe("last");
    const later = performance.now() + 600; // three looks
    await eventually(() => performance.now() > later);
    child.stdin.end("and yet");
    let heard = "";
    for await (const chunk of socket) heard += String(chunk);
    expect(heard).toBe("and yet");
    expect(await exited).toEqual([0, null]);
  });
});

/** A server that says nothing by itself, and does not hang up because its client does. */
async function silentServer() {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, "connection") as Promise<[Socket]>;
  void accepted.then(([socket]) => {
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => undefined);
  });
  return { port, accepted };
}
