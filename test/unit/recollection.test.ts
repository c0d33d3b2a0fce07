// When ssh is asked again what ssh_config means, for a dial that nobody waits for: the real ssh, over files of the test's own.
import { readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { CallerEnvironment } from "../../daemon/ssh/caller-environment.ts";
import { Children } from "../../daemon/ssh/children.ts";
import { type Asking, SshQueries } from "../../daemon/ssh/ssh-queries.ts";
import { Turns } from "../../daemon/turns.ts";
import { systemClock } from "../../shared/clock.ts";
import { eventually } from "../support/eventually.ts";
import { makeOutside } from "../support/outside.ts";
import { makePath } from "../support/path.ts";
import { tempDir } from "../support/temp-dir.ts";

// So much later than it is that every file has stood for long; and as much later as a test says.
const LATER_MS = 60_000;

async function world(config: string, laterMs = LATER_MS) {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const at = (name: string) => join(directory.path, name);
  const file = at("config");
  const log = at("log");
  await writeFile(file, config.replaceAll("DIR", directory.path));
  await writeFile(log, "");
  for (const name of ["included", "keys"]) await mkdir(at(name));
  const path = await makePath(["ssh"], { ssh: `echo x >> ${log}\nexec REAL "$@"` });
  onTestFinished(() => path.remove());
  let passedMs = 0;
  const queries = new SshQueries({
    children: new Children(null, { PATH: path.PATH }),
    files: makeOutside().files,
    home: at("home"),
    slices: new Turns(systemClock),
    clock: {
      ...systemClock,
      now: () => systemClock.now() + laterMs,
      monotonic: () => systemClock.monotonic() + passedMs,
    },
  });
  const runs = () => readFileSync(log, "utf8").split("\n").length - 1;
  const ask = (asking: Partial<Asking> = {}, args: readonly string[] = []) =>
    queries.ask([...args, "-F", file, "--", "h"], { isAwaited: () => false, mayRecall: true, ...asking });
  return { at, file, runs, ask, pass: (ms: number) => (passedMs += ms) };
}

type World = Awaited<ReturnType<typeof world>>;

/** Asks until ssh has not to be asked for it. */
const isRecalled = ({ ask, runs }: World, ...asked: Parameters<World["ask"]>): Promise<true> =>
  eventually(async () => {
    const before = runs();
    await ask(...asked);
    return runs() === before;
  });

/** Whether ssh has to be asked for it, now and for ever. */
async function isAskedAgain({ ask, runs }: World, ...asked: Parameters<World["ask"]>): Promise<boolean> {
  const before = runs();
  for (let n = 0; n < 5; n++) await ask(...asked);
  return runs() === before + 5;
}

describe("what ssh said of a host", () => {
  it.each([
    ["a file that it read is another", (at: World["at"]) => writeFile(at("config"), "User another")],
    ["a file comes to be included", (at: World["at"]) => writeFile(at("included/b.conf"), "User another")],
    [
      "an included file that was not there comes",
      (at: World["at"]) => writeFile(at("missing"), "User another"),
    ],
    ["an identity that was not there comes", (at: World["at"]) => writeFile(at("keys/id"), "")],
  ])("is good until %s", async (_, change) => {
    const here = await world("Host none\n  Include DIR/missing\nMatch all\n  Include DIR/included/*.conf\n");
    const args = ["-i", here.at("keys/id")];
    await isRecalled(here, {}, args);
    const before = here.runs();
    await change(here.at);
    await here.ask({}, args);
    expect(here.runs()).toBe(before + 1);
  });

  it("is good until an included file goes, and for ten minutes at most", async () => {
    const here = await world("Include DIR/included/*\n");
    await writeFile(here.at("included/a"), "User included\n");
    await isRecalled(here);
    expect((await here.ask()).printed).toMatch(/^user included$/m);
    await rm(here.at("included/a"));
    expect((await here.ask()).printed).not.toMatch(/^user included$/m);
    await isRecalled(here);
    here.pass(601_000);
    const before = here.runs();
    await here.ask();
    expect(here.runs()).toBe(before + 1);
  });

  it.each([
    ["Match exec", 'Match exec "true"\n  User x\n'],
    ["a Match exec that had not to be asked", 'Match host other exec "true"\n  User x\n'],
    ["a Match exec in other letters", 'Match all\n  User y\n  mAtCh=host h !EXEC "false"\n'],
    ["canonicalization", "CanonicalizeHostname yes\nCanonicalizeFallbackLocal yes\n"],
    ["an Include whose directory is a pattern", "Include DIR/incl*/*\n"],
  ])("is not kept where %s has a part in it", async (_, config) => {
    expect(await isAskedAgain(await world(config))).toBe(true);
  });

  it("is not kept where a file was changed since ssh was asked, or just before", async () => {
    expect(await isAskedAgain(await world("User x\n", -LATER_MS))).toBe(true);
  });

  it("is another one's where the arguments or the environment are", async () => {
    const here = await world("HostName ${WHERE}.example\nUser x\n");
    const [one, other] = ["one", "other"].map((where) => new CallerEnvironment([`WHERE=${where}`]));
    await isRecalled(here, { environment: one });
    expect((await here.ask({ environment: other })).printed).toMatch(/^hostname /m);
    const before = here.runs();
    await here.ask({ environment: one });
    expect(here.runs()).toBe(before);
    await here.ask({ environment: one }, ["-p", "7"]);
    expect(here.runs()).toBe(before + 1);
  });

  it("is asked for each time by a command", async () => {
    const here = await world("User x\n");
    await isRecalled(here);
    expect(await isAskedAgain(here, { mayRecall: false })).toBe(true);
  });
});
