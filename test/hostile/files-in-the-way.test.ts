// Files that do not end, never begin, or are none: a host that names one comes up or fails in words, and the others notice nothing.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { run as runProgram } from "../support/run.ts";
import { tempDir } from "../support/temp-dir.ts";
import { call } from "./http.ts";
import { startWorld, type World } from "./world.ts";

const MB = 1024 * 1024;

let world: World;
const at = (name: string): string => join(world.tund.home, name);

async function start(): Promise<void> {
  world = await startWorld();
  world.server.play({ accepts: "none" });
  await runProgram("mkfifo", [at("fifo")]);
  await mkdir(at("directory"));
  await writeFile(at("huge"), Buffer.alloc(64 * MB, "x"));
  await writeFile(at("lines"), "|1|AAAA|AAAA ssh-ed25519 AAAA\n".repeat(100_000));
  await writeFile(at("noise"), Buffer.alloc(MB, "\0\u001b[2J\n"));
  await writeFile(at("loop"), `Include ${at("loop")}\nHost x\n  Include ${at("loop")}\n`);
  await writeFile(at("deep"), `Include ${at("huge")}\n`);
}

beforeAll(start);
afterAll(() => world?.stop());
// What one of them has broken is not the next one's trouble.
afterEach(async ({ task }) => {
  if (task.result?.state !== "fail") return;
  await world.stop();
  await start();
});

// Each setting with what its file has not been asked for before it is read.
const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  IdentityFile: ["fifo", "directory", "huge", "noise"],
  CertificateFile: ["fifo", "noise"],
  UserKnownHostsFile: ["fifo", "directory", "huge", "lines", "noise"],
  RevokedHostKeys: ["fifo", "huge", "noise"],
  IdentityAgent: ["fifo", "noise"],
  ControlPath: ["fifo", "directory"],
};

describe("A host", () => {
  it.each(Object.entries(SETTINGS).flatMap(([setting, names]) => names.map((name) => ({ setting, name }))))(
    "whose $setting is a $name comes up or fails in words",
    async ({ setting, name }) => {
      await world.server.addHost("odd", { [setting]: at(name), StrictHostKeyChecking: "no" });
      await world.settle();
      const { code, stderr } = await world.tund.tunctl(["connect", "odd"], { deadlineMs: 60_000 });
      expect(code === 0 || stderr.trim() !== "", "it comes up, or says why not").toBe(true);
      expect(stderr).not.toMatch(/INTERNAL|failed inside|\u001b/);
      await world.tund.tunctl(["exit", "odd"]);
      await world.isUnharmed();
    },
  );

  it.each(["fifo", "directory", "huge", "noise", "loop", "deep"])(
    "whose ssh_config is a %s comes up or fails in words",
    async (name) => {
      await world.settle();
      const { code, stderr } = await world.tund.tunctl(["-F", at(name), "connect", "odd"], {
        deadlineMs: 60_000,
      });
      expect(code).not.toBe(0);
      expect(stderr).not.toMatch(/INTERNAL|failed inside|\u001b/);
      await world.isUnharmed();
    },
  );
});

const saved = (host: string, id: string) => ({
  host,
  kept: true,
  connection: null,
  forwards: [
    {
      id,
      name: null,
      kind: "dynamic",
      spec: "/nonexistent/x",
      gatewayPorts: false,
      onDemand: false,
      idleSeconds: null,
      allocatedPort: null,
    },
  ],
});
const state = (...hosts: unknown[]): string => JSON.stringify({ version: 1, hosts });

describe("A daemon", () => {
  it.each([
    ["of nothing", ""],
    ["of noise", Buffer.alloc(MB, "\0\u001b[2J{").toString()],
    ["that is deep", "[".repeat(200_000)],
    [
      "that is long",
      state(
        ...Array.from({ length: 200 }, (_, index) => ({
          host: `h${index}`,
          kept: false,
          connection: null,
          forwards: [],
        })),
      ),
    ],
    ["with a host twice", state(saved("a", "1"), saved("a", "2"))],
    ["with an id twice", state(saved("a", "1"), saved("b", "1"))],
    ["with NUL for names", state(saved("a\0b", "\0"))],
    ["with options for names", state(saved("-oProxyCommand=x", "1"), saved("__proto__", "constructor"))],
  ])("starts with a state file %s, and answers", async (_what, text) => {
    const home = await tempDir();
    onTestFinished(() => home.remove());
    await mkdir(join(home.path, "state"), { mode: 0o700 });
    await writeFile(join(home.path, "state", "state.json"), text);
    const tund = await startTund({ home: home.path, deadlineMs: 30_000 });
    onTestFinished(async () => void (await tund.stop()));
    expect((await call(tund.socket, "GET", "/v1/masters")).status).toBe(200);
    const { code, stderr } = await tund.tunctl(["list"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(await tund.stop()).toMatchObject({ code: 0 });
  });
});
