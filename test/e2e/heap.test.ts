// What V8 is told.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { run } from "../support/run.ts";
import { startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp-dir.ts";

// For --require: tells on stderr, at the end, what V8 was told.
const TELL_FLAGS = `const v8 = require("node:v8");
const { setFlagsFromString } = v8;
const told = [];
v8.setFlagsFromString = (flag) => { told.push(flag); setFlagsFromString(flag); };
process.on("exit", () => require("node:fs").writeSync(2, JSON.stringify(told)));
`;

it("V8 is told all that traffic and memory were measured with, in words of its own", async () => {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const hook = join(directory.path, "tell-flags.cjs");
  await writeFile(hook, TELL_FLAGS);
  const told = await run(process.execPath, ["--require", hook, "dist/tund.cjs", "--version"]);
  const since13 = ["--external-memory-accounted-in-global-limit"];
  const flags = [
    "--semi-space-growth-factor=1",
    "--heap-growing-percent=400",
    ...(Number.parseInt(process.versions.v8, 10) >= 13 ? since13 : []),
  ];
  expect(JSON.parse(told.stderr)).toEqual(flags);
  const { stdout } = await run(process.execPath, ["--v8-options"]);
  const known = new Set(Array.from(stdout.matchAll(/^ *(--[a-z\d-]+)/gm), ([, name]) => name));
  for (const flag of flags) expect(known).toContain(flag.split("=")[0]);
});

it("V8 knows all that it is told", async () => {
  const sshd = await startSshd();
  onTestFinished(() => sshd.stop());
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  onTestFinished(async () => void (await tund.stop()));
  expect(await tund.tunctl(["connect", "testhost"])).toMatchObject({ code: 0 });
  const lines = tund.log().trimEnd().split("\n");
  // Of a flag that it does not know it says 'Error: unrecognized flag'; all that tund says is JSON.
  expect(lines.filter((line) => !line.startsWith("{"))).toEqual([]);
  expect(tund.log()).toContain("master ready");
});
