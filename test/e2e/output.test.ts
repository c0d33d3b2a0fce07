// How tunctl's words get out: to a pipe that does not block, to nobody, and to where there is no room.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { cannedDaemon } from "../support/canned-daemon.ts";
import { eventually } from "../support/eventually.ts";
import { forward, master } from "../support/records.ts";
import { tempDir } from "../support/temp-dir.ts";

const TUNCTL = "dist/tunctl.cjs";

/** A module for --require after which stdout does not block: Node's stream makes it so. */
async function notBlocking(): Promise<string> {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const file = join(directory.path, "not-blocking.cjs");
  await writeFile(file, "process.stdout;");
  return file;
}

/** Runs it with its stdout elsewhere. Gives the exit code and what it said on stderr. */
async function runsInto(stdout: number | "pipe", args: readonly string[], socket: string) {
  const child = spawn(process.execPath, [TUNCTL, ...args, "-q"], {
    env: { ...process.env, TUND_SOCKET: socket },
    stdio: ["ignore", stdout, "pipe"],
  });
  child.stdout?.destroy(); // nobody reads it
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number];
  return { code, stderr };
}

const isAsleep = (pid: number): boolean => readFileSync(`/proc/${pid}/stat`, "utf8").includes(") S ");

/** Runs it, and reads what it prints only when it has ended or waits: its pipe is full then. */
async function runsUnread(args: readonly string[], socket: string) {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, TUND_SOCKET: socket },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close") as Promise<[number]>;
  await once(child.stdout, "readable");
  await eventually(() => child.exitCode !== null || isAsleep(child.pid ?? 0));
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const [code] = await closed;
  return { code, stdout: Buffer.concat(chunks).toString() };
}

describe("what tunctl prints", () => {
  it("comes whole through a pipe that is full, whether or not that blocks", async () => {
    const answer = { ...master, roundTripMs: 1, forwards: Array.from({ length: 3000 }, () => forward) };
    const answers = { "DELETE /v1/masters/db": answer, "POST /v1/masters/db/check": answer };
    const { socket } = await cannedDaemon({ answers });
    for (const verb of ["exit", "check"])
      for (const before of [[], ["--require", await notBlocking()]]) {
        const args = [...before, TUNCTL, verb, "db", "--json", "-q"];
        const { code, stdout } = await runsUnread(args, socket);
        expect(code).toBe(0);
        // Not compared by vitest, which would print both.
        expect(stdout === `${JSON.stringify(answer, null, 2)}\n`).toBe(true);
      }
  });

  it("that nobody reads any more is no failure", async () => {
    const { socket } = await cannedDaemon();
    for (const verb of ["check", "exit"])
      expect(await runsInto("pipe", [verb, "db", "--json"], socket)).toEqual({ code: 0, stderr: "" });
  });

  it("that finds no room is a failure", async () => {
    const { socket } = await cannedDaemon();
    const full = openSync("/dev/full", "w");
    onTestFinished(() => closeSync(full));
    for (const verb of ["check", "exit"])
      expect(await runsInto(full, [verb, "db", "--json"], socket)).toEqual({
        code: 1,
        stderr: expect.stringMatching(/^tunctl: cannot write to stdout: ENOSPC.*\n$/) as string,
      });
  });
});
