import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { echoServer, pseudoRandom, sourceServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { closing, startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;

beforeAll(async () => {
  tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

const program = "dist/tunctl.cjs";
const digest = (size: number) => {
  const hash = createHash("sha256");
  for (const chunk of pseudoRandom(size)) hash.update(chunk);
  return hash.digest("hex");
};

describe("tunctl stdio", () => {
  it.each([
    ["stdio", "DEST HOST"],
    ["-W", "DEST HOST"],
  ])("%s %s joins stdin and stdout to a channel, byte for byte, and ends with it", async (verb) => {
    const size = 20_000_000;
    const args = [program, "--socket", tunnel.tund.socket, verb, `127.0.0.1:${tunnel.echo.port}`, "testhost"];
    const child = spawn(
      process.execPath,
      args.filter((arg) => arg !== "DEST"),
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const hash = createHash("sha256");
    child.stdout.on("data", (chunk: Buffer) => hash.update(chunk));
    const ended = once(child, "close");
    await pipeline(Readable.from(pseudoRandom(size)), child.stdin);
    expect(await ended).toEqual([0, null]);
    expect(hash.digest("hex")).toBe(digest(size));
    await eventually(async () => expect((await tunnel.master())?.channels).toBe(0));
  });

  it("passes on the channel's end at once, and ends with the channel though stdin stays open", async () => {
    const source = closing(await sourceServer(100_000));
    const args = [program, "--socket", tunnel.tund.socket, "stdio", `127.0.0.1:${source.port}`, "testhost"];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    onTestFinished(() => void child.kill());
    const hash = createHash("sha256");
    child.stdout.on("data", (chunk: Buffer) => hash.update(chunk));
    await once(child.stdout, "end");
    expect(hash.digest("hex")).toBe(source.sha256);
    // The other direction is still open, and with it the channel, until somebody ends it.
    expect(child.exitCode).toBeNull();
    const closed = once(child, "close"); // it may come before exit has answered
    await tunnel.ok("exit", "testhost");
    expect(await closed).toEqual([0, null]);
  });

  it("reads stdin from a file, and from /dev/null", async () => {
    const path = join(tunnel.sshd.directory, "input");
    const file = await open(path, "w+");
    await file.writeFile("from a file");
    await file.close();
    const shell = (from: string) =>
      run("sh", [
        "-c",
        `exec ${process.execPath} ${program} --socket ${tunnel.tund.socket} -W 127.0.0.1:${tunnel.echo.port} testhost < ${from}`,
      ]);
    expect(await shell(path)).toMatchObject({ code: 0, stdout: "from a file", stderr: "" });
    expect(await shell("/dev/null")).toMatchObject({ code: 0, stdout: "", stderr: "" });
  });

  it("reaches a Unix socket, and fails in one line where nobody answers", async () => {
    const path = join(tunnel.sshd.directory, "stdio.sock");
    closing(await echoServer({ path }));
    expect(await tunnel.tund.tunctl(["stdio", path, "testhost"], { input: "hello" })).toMatchObject({
      code: 0,
      stdout: "hello",
    });
    const refused = await tunnel.tund.tunctl(["stdio", `127.0.0.1:${await freePort()}`, "testhost"]);
    expect(refused).toMatchObject({
      code: 1,
      stdout: "",
      stderr: "tunctl: connect failed: Connection refused\n",
    });
    expect(await tunnel.tund.tunctl(["stdio", "nonsense", "testhost"])).toMatchObject({ code: 2 });
    expect(await tunnel.tund.tunctl(["-W", "a:1", "no-such-host.invalid"])).toMatchObject({ code: 1 });
  });

  it("ends when nobody reads what it writes, and leaves no channel", async () => {
    const source = closing(await sourceServer(50_000_000));
    const command = `${process.execPath} ${program} --socket ${tunnel.tund.socket} -W 127.0.0.1:${source.port} testhost`;
    const { code, stdout, stderr } = await run("sh", ["-c", `${command} | head -c 10 | wc -c`]);
    expect({ code, stdout: stdout.trim(), stderr }).toEqual({ code: 0, stdout: "10", stderr: "" });
    await eventually(async () => expect((await tunnel.master())?.channels).toBe(0));
  });

  it("is a ProxyCommand for the real ssh", async () => {
    const proxy = `${process.execPath} ${program} --socket ${tunnel.tund.socket} -W %h:%p testhost`;
    const args = [
      "-F",
      tunnel.sshd.sshConfig,
      "-o",
      `ProxyCommand=${proxy}`,
      "-o",
      "BatchMode=yes",
      "testhost",
    ];
    const { code, stdout, stderr } = await run("ssh", [...args, "cat; exit 7"], { input: "through tund" });
    expect({ code, stdout, stderr }).toEqual({ code: 7, stdout: "through tund", stderr: "" });
  });
});

describe("tunctl shell", () => {
  it("takes ssh's commands from a script, and says what became of each", async () => {
    const [a, b] = [await freePort(), await freePort()];
    const to = `127.0.0.1:${tunnel.echo.port}`;
    const script = [
      `-L ${a}:${to}`,
      `D${b}`,
      `-R 0:${to}`,
      "",
      `KL ${a}`,
      `-KD${b}`,
      "-KL 1",
      "-L nonsense",
      "frobnicate",
      `-L ${tunnel.echo.port}:${to}`,
    ];
    const { code, stdout, stderr } = await tunnel.tund.tunctl(["shell", "testhost"], {
      input: script.join("\n"),
    });
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(stdout.split("\n")).toEqual([
      "Forwarding port.",
      "Forwarding port.",
      expect.stringMatching(`^Allocated port \\d+ for remote forward to ${to}$`),
      "Canceled forwarding.",
      "Canceled forwarding.",
      "Unknown port forwarding.",
      expect.stringContaining("Bad forwarding specification"),
      "Invalid command.",
      expect.stringContaining("Port forwarding failed: cannot listen on"),
      "",
    ]);
    await tunnel.ok("cancel", "--all", "testhost");
  });

  it("needs a master, and lists its commands", async () => {
    expect(await tunnel.tund.tunctl(["shell", "elsewhere"])).toMatchObject({ code: 4 });
    const help = await tunnel.tund.tunctl(["shell", "testhost"], { input: "?\nexit\n-L nonsense\n" });
    expect(help).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("-KD[bind_address:]port") as string,
    });
  });
});
