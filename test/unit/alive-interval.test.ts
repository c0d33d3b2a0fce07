// ServerAliveInterval, where `ssh -G` prints the same for what was said and for what was not: the real ssh, asked again.
import { existsSync, readFileSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AliveIntervals } from "../../daemon/ssh/alive-interval.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import { makeOutside } from "../support/outside.ts";
import { makeResolver } from "../support/resolver.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const person = { home: "/home/me", uid: 1000, username: "me", env: {} };
let place: TempDir;
let directory: string;

beforeAll(async () => {
  place = await tempDir();
  directory = place.path;
});
afterAll(() => place.remove());

async function resolve(config: string, host: string, options?: ConnectionOptions) {
  const configFile = join(directory, `config-${Math.random()}`);
  await writeFile(configFile, config);
  const files = makeOutside().files;
  return makeResolver({ person, configFile, controlPath: "none", files }).resolve(host, options);
}

describe("a host, as ssh -G resolves it,", () => {
  it.each([
    ["Host h\nServerAliveInterval 0", 0],
    ["ServerAliveInterval 5\nServerAliveInterval 0", 5],
    ["ServerAliveInterval 15", 15],
    ["Host other\nServerAliveInterval 0", 15],
    ["BatchMode yes", 15],
    ["BatchMode yes\nServerAliveInterval 300", 300],
    ["BatchMode yes\nServerAliveInterval 0", 0],
    ["Match final\nServerAliveInterval 0", 0],
    ["Match final\nUser u", 15],
    ["Match canonical\nServerAliveInterval 0", 15],
    ["CanonicalizeHostname always\nMatch canonical\nServerAliveInterval 0", 0],
    ["CanonicalizeHostname always\nServerAliveInterval 0", 0],
  ])("is asked for signs of life as '%s' says: a 0 that nobody said is none", async (config, seconds) => {
    expect(await resolve(config, "h")).toMatchObject({
      keepaliveIntervalMs: seconds * 1000,
      keepaliveDoubt: null,
    });
  });

  it("is asked for signs of life as the command line and included files say", async () => {
    const options = { options: ["ServerAliveInterval=0"] };
    expect((await resolve("", "h", options)).keepaliveIntervalMs).toBe(0);
    const included = join(directory, "included");
    await writeFile(included, "ServerAliveInterval 0\n");
    expect((await resolve(`Include ${included}`, "h")).keepaliveIntervalMs).toBe(0);
    // Whose meaning differs means another connection.
    const [off, unsaid] = [await resolve("ServerAliveInterval 0", "h"), await resolve("", "h")];
    expect(off.identity).not.toBe(unsaid.identity);
  });

  it("is asked every 15 s where it cannot be told what was said, and why not is kept", async () => {
    const file = join(directory, "writable");
    await writeFile(file, "ServerAliveInterval 0\n");
    await chmod(file, 0o666); // ssh takes it as -F, and not where it is included
    const files = makeOutside().files;
    const config = await makeResolver({ person, configFile: file, controlPath: "none", files }).resolve("h");
    expect(config).toMatchObject({
      keepaliveIntervalMs: 15_000,
      keepaliveDoubt: expect.stringContaining("cannot be told") as string,
    });
  });
});

it("what ssh is asked with is whole, however many ask for it at the same time", async () => {
  // With as little time as there can be between a look and the next step.
  const files = Object.assign(makeOutside().files, { exists: async (path: string) => existsSync(path) });
  const intervals = new AliveIntervals(files);
  const seen: string[] = [];
  const ask = async (path: string) => {
    seen.push(readFileSync(path, "utf8"));
    return new Map([["serveraliveinterval", ["15"]]]);
  };
  const asked: Promise<unknown>[] = [];
  for (let n = 0; n < 400; n++) {
    const configFile = `/of/${Math.floor(n / 8)}`;
    asked.push(intervals.tell({ settings: new Map(), options: [], configFile, ask }));
    await nextTurn();
  }
  await Promise.all(asked);
  intervals.end();
  expect(seen).toHaveLength(400);
  expect(seen.filter((text) => !text.includes("ServerAliveInterval 15"))).toEqual([]);
});
