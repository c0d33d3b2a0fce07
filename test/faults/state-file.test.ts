// The state file, when the disk or somebody else has its way with it.
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { SavedHost } from "../../daemon/saved-state.ts";
import { Store } from "../../daemon/store.ts";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { startHome } from "../support/home.ts";
import { silent } from "../support/silent-log.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { works } from "../support/tcp.ts";
import { tempDir } from "../support/temp-dir.ts";

const hosts: SavedHost[] = [
  {
    host: "db",
    kept: true,
    connection: { port: 2222, options: ["Compression=yes"] },
    forwards: [
      {
        id: "f7k2",
        name: "base",
        kind: "local",
        spec: "5432:localhost:5432",
        gatewayPorts: false,
        onDemand: true,
        idleSeconds: 60,
        allocatedPort: null,
      },
    ],
  },
];

describe("the state file", () => {
  it("cut off at any length is set aside whole, and what was complete is loaded", async () => {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    const file = join(directory.path, "state.json");
    const store = new Store(directory.path, silent);
    await store.save(() => hosts);
    const whole = readFileSync(file);
    expect(await store.load()).toEqual(hosts);
    for (let length = 0; length < whole.length - 1; length++) {
      writeFileSync(file, whole.subarray(0, length));
      expect(await store.load()).toEqual([]);
      const aside = readdirSync(directory.path).filter((name) => name.startsWith("state.json.damaged-"));
      expect(aside).toHaveLength(1);
      const path = join(directory.path, aside[0] ?? "");
      expect(readFileSync(path).equals(whole.subarray(0, length))).toBe(true);
      expect(existsSync(file)).toBe(false);
      rmSync(path);
    }
    // Without its last line break it is complete.
    writeFileSync(file, whole.subarray(0, -1));
    expect(await store.load()).toEqual(hosts);
  });

  it("is written once for many that ask at once, with what is wanted by then", async () => {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    const store = new Store(directory.path, silent);
    let writes = 0;
    let wanted: SavedHost[] = [];
    const save = () =>
      store.save(() => {
        writes++;
        return wanted;
      });
    const first = save();
    const others = Array.from({ length: 50 }, save);
    wanted = hosts;
    await Promise.all([first, ...others]);
    expect(writes).toBeLessThanOrEqual(2);
    expect(await store.load()).toEqual(hosts);
  });
});

const mount = (...args: string[]) => spawnSync("mount", args).status === 0;

/** A tiny file system at a path, for the running test; false where we may not make one. */
function tinyDisk(path: string): boolean {
  mkdirSync(path, { recursive: true });
  const isThere = process.getuid?.() === 0 && mount("-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", path);
  if (isThere) onTestFinished(() => void spawnSync("umount", ["-l", path]));
  else console.log("skipped: a full and a read-only disk, since only root may mount one");
  return isThere;
}

/** A state with one host of this name. */
const named = (host: string): SavedHost[] => hosts.map((one) => ({ ...one, host }));

/** A store in a directory of its own, its file, and what else lies there. */
async function storeOf(...names: string[]) {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const store = new Store(directory.path, silent);
  for (const name of names) await store.save(() => named(name));
  const aside = () => readdirSync(directory.path).filter((name) => name.startsWith("state.json."));
  return { directory: directory.path, file: join(directory.path, "state.json"), store, aside };
}

describe("a state that is appended", () => {
  it("counts when it is whole, and before that the one before, of which the file is made again", async () => {
    const { directory, file, store, aside } = await storeOf("first", "second");
    const one = statSync(file).size;
    await store.save(() => named("third"));
    const whole = readFileSync(file);
    for (let length = one; length < whole.length - 1; length++) {
      writeFileSync(file, whole.subarray(0, length));
      expect(await new Store(directory, silent).load()).toEqual(named("second"));
      expect(await new Store(directory, silent).load()).toEqual(named("second"));
      expect(aside()).toHaveLength(length > one ? 1 : 0);
      for (const name of aside()) {
        expect(name).toMatch(/^state\.json\.cut-short-/);
        const path = join(directory, name);
        expect(readFileSync(path).equals(whole.subarray(0, length))).toBe(true);
        expect(statSync(path).mode & 0o777).toBe(0o600);
        rmSync(path);
      }
    }
    writeFileSync(file, whole.subarray(0, -1));
    expect(await new Store(directory, silent).load()).toEqual(named("third"));
  });

  it("is not lost to what a power cut leaves behind it", async () => {
    const { file, store, aside } = await storeOf("first", "second");
    appendFileSync(file, Buffer.alloc(300));
    expect(await store.load()).toEqual(named("second"));
    expect(aside()).toHaveLength(1);
  });

  it("is found in a file that somebody moved away, changed or replaced meanwhile", async () => {
    const { directory, file, store } = await storeOf("first", "second");
    const sabotage = [
      () => rmSync(file),
      () => rmSync(directory, { recursive: true }),
      () => renameSync(file, join(directory, "elsewhere")),
      () => writeFileSync(file, JSON.stringify({ version: 1, hosts: named("theirs") })),
      () => writeFileSync(file, "no state"),
      // A copy put back, as restored from a backup, with a mode of its own.
      () => {
        const copy = join(directory, "copy");
        writeFileSync(copy, readFileSync(file), { mode: 0o644 });
        renameSync(copy, file);
      },
    ];
    for (const [at, spoil] of sabotage.entries()) {
      spoil();
      await store.save(() => named(`after-${at}`));
      expect(await store.load()).toEqual(named(`after-${at}`));
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
  });

  it("comes in a file that stays small", async () => {
    const { file, store, aside } = await storeOf();
    const sizes: number[] = [];
    for (let at = 0; at < 1500; at++) {
      await store.save(() => named(`host-${at}`));
      sizes.push(statSync(file).size);
    }
    expect(await store.load()).toEqual(named("host-1499"));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(256 * 1024);
    // It was replaced once and again, and not each time.
    expect(sizes.filter((size, at) => size < (sizes[at - 1] ?? 0)).length).toBeOneOf([1, 2]);
    expect(aside()).toEqual([]);
  });

  it("that does not fit is none, and the next one is", async () => {
    const { directory } = await storeOf();
    if (!tinyDisk(directory)) return;
    const store = new Store(directory, silent);
    const file = join(directory, "state.json");
    await store.save(() => named("first"));
    await store.save(() => named("second"));
    const before = readFileSync(file, "utf8");
    const big = named("x".repeat(70_000));
    await expect(store.save(() => big)).rejects.toMatchObject({ code: "STATE_NOT_SAVED" });
    expect(readFileSync(file, "utf8")).toBe(before);
    expect(await new Store(directory, silent).load()).toEqual(named("second"));
    await store.save(() => named("third"));
    expect(await new Store(directory, silent).load()).toEqual(named("third"));
    expect(readdirSync(directory)).toEqual(["state.json"]);
  });
});

describe("a disk", () => {
  let sshd: Sshd;
  let echo: LoopbackServer;
  beforeAll(async () => {
    sshd = await startSshd();
    echo = await echoServer();
  });
  afterAll(async () => {
    await echo?.close();
    await sshd?.stop();
  });

  it.each([
    [
      "full",
      "no space left on the disk",
      (path: string) => {
        const big = join(path, "big");
        writeFileSync(big, "");
        // To the last byte: a page may still be left where a large piece does not fit.
        for (const size of [65_536, 4096])
          for (;;)
            try {
              writeFileSync(big, Buffer.alloc(size), { flag: "a" });
            } catch {
              break;
            }
        return () => rmSync(big);
      },
    ],
    [
      "read-only",
      "the file system is read-only",
      (path: string) => {
        mount("-o", "remount,ro", path);
        return () => mount("-o", "remount,rw", path);
      },
    ],
  ])("that is %s fails the command, and nothing is lost or changed", async (_, why, spoil) => {
    const { start, state, saved } = await startHome({ TUND_SSH_CONFIG: sshd.sshConfig });
    if (!tinyDisk(join(state, ".."))) return;
    const tund = await start();
    const [a, b] = [await freePort(), await freePort()];
    const to = `127.0.0.1:${echo.port}`;
    // What no command here takes away is longer than a page of the disk, or there might be room for one state more.
    const long = ["--on-demand", "-o", `SendEnv=${"X".repeat(5000)}`, "-L", `${await freePort()}:${to}`];
    await tund.ok("forward", ...long, "elsewhere");
    await tund.ok("forward", "-L", `${a}:${to}`, "testhost");
    const before = readFileSync(state, "utf8");
    const mend = spoil(join(state, ".."));
    for (const args of [
      ["forward", "-L", `${b}:${to}`, "testhost"],
      ["cancel", "-L", String(a), "testhost"],
      ["exit", "testhost"],
    ]) {
      const { code, stderr } = await tund.tunctl(args);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(why) as string });
    }
    expect(readFileSync(state, "utf8")).toBe(before);
    await works(a);
    const forwards = (await tund.forwards()).filter(({ host }) => host === "testhost");
    expect(forwards).toMatchObject([{ spec: `${a}:${to}`, state: "active" }]);
    // What need not be kept works all the same.
    await tund.ok("forward", "--ephemeral", "-L", `${b}:${to}`, "testhost");
    await works(b);
    mend();
    await tund.ok("cancel", "--all");
    expect(saved().hosts).toEqual([]);
  });
});
