// What a command loads before it does anything: most of the time that tunctl takes to start is that.
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { nativeFile } from "../shared/native/load.ts";
import { cannedDaemon } from "./support/canned-daemon.ts";
import { run } from "./support/run.ts";
import { tempDir } from "./support/temp-dir.ts";

// For --require: tells on stderr, at the end, which files and which of Node's own modules were loaded.
const TELL_LOADED = `process.on("exit", () => {
  const ours = Object.keys(require.cache).filter((file) => file !== __filename);
  const own = process.moduleLoadList.map((name) => name.replace("NativeModule ", ""));
  require("node:fs").writeSync(2, JSON.stringify({ ours, own }));
});`;

interface Loaded {
  ours: string[];
  own: string[];
}

/** What a program that says nothing on stderr has loaded. */
async function loadedIn(command: readonly string[], env = process.env): Promise<Loaded> {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const hook = join(directory.path, "tell-loaded.cjs");
  await writeFile(hook, TELL_LOADED);
  await writeFile(join(directory.path, "empty.cjs"), "");
  const program = command.length === 0 ? [join(directory.path, "empty.cjs")] : command;
  const { code, stderr } = await run(process.execPath, ["--require", hook, ...program], { env });
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^{.*}$/) as string });
  return JSON.parse(stderr) as Loaded;
}

/** What a command line of the built tunctl loads: files of ours, and what this Node does not load for a program without a word. */
async function loadedBy(...args: string[]): Promise<Loaded> {
  const always = new Set((await loadedIn([])).own);
  const env = { ...process.env, TUND_SOCKET: (await cannedDaemon()).socket };
  const { ours, own } = await loadedIn(["dist/tunctl.cjs", ...args, "-q"], env);
  return {
    ours: ours.map((file) => relative("dist", file)),
    own: own.filter((name) => !always.has(name)),
  };
}

describe("tunctl", () => {
  it("starts a quick verb with one file that has the quick ones alone, and without Node's HTTP and its stream for stdout", async () => {
    for (const args of [["list"], ["status"]]) expect((await loadedBy(...args)).ours).toEqual(["tunctl.cjs"]);
    const { ours, own } = await loadedBy("check", "db");
    expect(ours).toEqual(["tunctl.cjs"]);
    const native = existsSync(`dist/${nativeFile(process.platform, process.arch)}`);
    if (!native) console.log("skipped: that a check loads no node:net, since there is no compiled file");
    const slow = new Set([
      ...(native ? ["net", "stream"] : []),
      "os",
      "http",
      "tty",
      "child_process",
      "internal/fs/sync_write_stream",
      "crypto",
    ]);
    expect(own.filter((name) => slow.has(name))).toEqual([]);
    const verbs = readFileSync("dist/tunctl.cjs", "utf8").matchAll(/^ *\/\/ cli\/commands\/(\S+)\.ts$/gm);
    const quick = new Set(["check", "help", "list", "status"]);
    expect(new Set(Array.from(verbs, ([, verb]) => verb))).toEqual(quick);
  });

  it("asks the daemon without Node's HTTP, whatever the verb, and starts no machinery of ES modules", async () => {
    for (const args of [["stop", "db"], ["cancel", "f7k2"], ["help"]]) {
      const { ours, own } = await loadedBy(...args);
      expect(ours).toEqual(["tunctl.cjs", "tunctl-all.cjs"]);
      const machinery = own.filter((name) => name === "http" || name === "internal/modules/esm/translators");
      expect(machinery).toEqual([]);
    }
  });
});
