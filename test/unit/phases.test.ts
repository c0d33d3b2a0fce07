// What limits an attempt, by what ssh_config says.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { versionLimitMs } from "../../daemon/ssh/phases.ts";
import { makeOutside } from "../support/outside.ts";
import { makeResolver } from "../support/resolver.ts";
import { tempDir } from "../support/temp-dir.ts";

it.each([
  ["", 30_000, 29_000],
  ["ConnectTimeout none", 30_000, 29_000],
  ["ConnectTimeout 5", 5000, 4000],
  ["ConnectTimeout 0", Infinity, Infinity], // as ssh: no limit
  ["ProxyCommand x", 30_000, Infinity],
  ["ProxyJump x", 30_000, Infinity],
  ["ProxyCommand x\nConnectTimeout 5", 5000, 4000],
  ["ProxyJump x\nConnectTimeout 5", 5000, 4000],
])("'%s' gives TCP %d ms, and a version after a second of it %d ms", async (lines, tcpMs, versionMs) => {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const configFile = join(directory.path, "config");
  await writeFile(configFile, lines);
  const person = { home: directory.path, uid: 1000, username: "me", env: {} };
  const { files } = makeOutside();
  const config = await makeResolver({ person, configFile, controlPath: null, files }).resolve("h");
  expect(config.connectTimeoutMs).toBe(tcpMs);
  expect(versionLimitMs(config, 1000)).toBe(versionMs);
});
