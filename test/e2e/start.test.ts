import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { startTund, type Tund, type TundOptions } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { run } from "../support/run.ts";
import { tempDir } from "../support/temp-dir.ts";

async function daemon(options: TundOptions = {}): Promise<Tund> {
  const tund = await startTund(options);
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

async function place(): Promise<string> {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  return directory.path;
}

/** Runs the built tund to its end: for what keeps it from starting. */
const tundOnce = (env: Record<string, string>, args: string[] = []) =>
  run(process.execPath, ["dist/tund.cjs", ...args], {
    env: { PATH: process.env["PATH"], HOME: "/nonexistent", ...env },
  });

describe("the control socket", () => {
  it("is 0600 in a directory of 0700", async () => {
    const tund = await daemon();
    expect((await stat(tund.socket)).mode & 0o777).toBe(0o600);
    expect((await stat(join(tund.socket, ".."))).mode & 0o777).toBe(0o700);
  });

  it("goes to one of several daemons that race for it; the others say who holds it", async () => {
    const socket = join(await place(), "s", "tund.sock");
    const racers = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ["dist/tund.cjs"], {
        env: { PATH: process.env["PATH"], HOME: "/nonexistent", TUND_SOCKET: socket },
        stdio: ["ignore", "ignore", "pipe"],
      }),
    );
    onTestFinished(() => racers.forEach((racer) => racer.kill("SIGKILL")));
    const said = racers.map((racer) => {
      const lines = { text: "" };
      racer.stderr.on("data", (chunk: Buffer) => (lines.text += chunk.toString()));
      return lines;
    });
    await eventually(() => expect(racers.filter(({ exitCode }) => exitCode === 1)).toHaveLength(3));
    const winner = racers.find(({ exitCode }) => exitCode === null);
    await eventually(async () => {
      const status = await run(process.execPath, ["dist/tunctl.cjs", "--socket", socket, "--json", "status"]);
      expect(JSON.parse(status.stdout)).toMatchObject({ daemon: { pid: winner?.pid } });
    });
    const losers = said.filter((_, index) => racers[index] !== winner);
    expect(losers.every(({ text }) => text.startsWith(`tund: another tund holds ${socket}`))).toBe(true);
    const late = await tundOnce({ TUND_SOCKET: socket });
    expect(late).toMatchObject({
      code: 1,
      stderr: `tund: another tund holds ${socket}: pid ${winner?.pid}: speak to that one, or have one beside it, with a TUND_STATE_DIR and a TUND_SOCKET of its own (for its tunctl too)\n`,
    });
  });

  it("that a killed daemon left is replaced", async () => {
    const home = await place();
    const first = await daemon({ home });
    await first.stop("SIGKILL");
    expect(existsSync(first.socket)).toBe(true);
    const second = await daemon({ home });
    expect(second.socket).toBe(first.socket);
    expect(await second.tunctl(["status"])).toMatchObject({ code: 0 });
  });

  it.each([
    [
      "too long a path",
      async () => join(await place(), "x".repeat(120)),
      /the control socket: the path has \d+ bytes, and 107 are the limit/,
    ],
    [
      "a directory where others may write",
      async () => {
        const at = await place();
        await chmod(at, 0o777);
        return join(at, "s");
      },
      /others may write in .*: the control socket needs a directory of its own/,
    ],
    [
      "a file that is no socket",
      async () => {
        const at = await place();
        await writeFile(join(at, "s"), "");
        return join(at, "s");
      },
      /exists and is not a socket: remove it, or set TUND_SOCKET/,
    ],
    [
      "a file in the place of its directory",
      async () => {
        const at = await place();
        await writeFile(join(at, "file"), "");
        return join(at, "file", "s");
      },
      /file is no directory: the control socket needs a directory of its own .*: set TUND_SOCKET/,
    ],
  ])("is refused: %s", async (_, path, message) => {
    const socket = await path();
    const { code, stderr } = await tundOnce({ TUND_SOCKET: socket });
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it("in a directory that is a link elsewhere is judged by where it leads", async () => {
    const at = await place();
    await mkdir(join(at, "real"), { mode: 0o777 });
    await chmod(join(at, "real"), 0o777);
    await symlink(join(at, "real"), join(at, "link"));
    const { code, stderr } = await tundOnce({ TUND_SOCKET: join(at, "link", "s") });
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("others may write in") as string,
    });
  });
});

describe("a wrong setting", () => {
  it.each([
    [
      { TUND_LOG_LEVEL: "loud" },
      "tund: TUND_LOG_LEVEL is 'loud', and must be one of debug, info, warn, error\n",
    ],
    [{ TUND_SOKCET: "/x" }, expect.stringContaining("tund: TUND_SOKCET is not a setting of tund")],
    [
      { TUND_SSH_CONFIG: "/no/such" },
      expect.stringContaining("tund: TUND_SSH_CONFIG names a file that cannot be read"),
    ],
  ])("%j ends it at once with one line", async (env, stderr) => {
    expect(await tundOnce(env as Record<string, string>)).toMatchObject({ code: 1, stderr });
  });

  it("on its command line is refused, and --help tells the settings", async () => {
    expect(await tundOnce({}, ["--frobnicate"])).toMatchObject({ code: 2 });
    const help = await tundOnce({}, ["--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    for (const name of [
      "TUND_SOCKET",
      "TUND_STATE_DIR",
      "TUND_SSH_CONFIG",
      "TUND_CONNECT",
      "TUND_LOG_LEVEL",
      "TUND_LOG_FORMAT",
    ])
      expect(help.stdout).toContain(name);
  });
});
