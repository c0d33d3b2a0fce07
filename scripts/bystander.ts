// `npm run bystander [-- [--json FILE] [-t NAME] TESTS...]`: runs the tests of test/e2e and test/faults with a bystander in every tund, a
// forward over another master that a byte goes over each 20 ms, and tells what it felt in each test, and what ran meanwhile. A
// test in which a byte was over 200 ms later than a control's is run again, up to three times; late twice is a failure.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { DaemonRecord, Mode } from "../test/support/bystander/in-mode.ts";
import { type Scenario, scenariosOf, type TestRecord } from "../test/support/bystander/scenarios.ts";
import { decided, LIMIT_MS, told, type Worst } from "../test/support/bystander/waits.ts";
import { startSshd } from "../test/support/sshd.ts";
import { tempDir } from "../test/support/temp-dir.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const reporter = join(root, "test", "support", "bystander", "reporter.ts");

/** Tests whose daemons have no bystander, since what they say would not be true with one. */
const without: Mode["without"] = {};

/** All moments in milliseconds: what is to be added to the wall clock's for the clock that processes share. */
const offset = (): number => Number(process.hrtime.bigint()) / 1e6 - Date.now();

const lines = <T>(file: string): T[] =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as T)
    : [];

/** Runs tests in the mode; gives what came of each. */
function runTests(mode: Mode, directory: string, args: readonly string[]): Scenario[] {
  const file = join(directory, "mode.json");
  for (const each of [mode.records, mode.tests]) writeFileSync(each, "");
  writeFileSync(file, JSON.stringify(mode));
  const vitest = join(root, "node_modules", ".bin", "vitest");
  const projects = ["--project", "e2e", "--project", "faults"];
  // Each tund brings five processes along: what is measured is who waits for whom, not how quick a busy machine is.
  const patience = ["--testTimeout=120000", "--hookTimeout=180000"];
  spawnSync(
    vitest,
    ["run", ...projects, ...patience, "--reporter=default", "--silent", `--reporter=${reporter}`, ...args],
    {
      cwd: root,
      env: { ...process.env, TUND_TEST_BYSTANDER: file },
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  return scenariosOf(lines<TestRecord>(mode.tests), lines<DaemonRecord>(mode.records), offset());
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

const titleOf = ({ file, name }: Scenario): string =>
  `${relative(root, file)}: ${name ?? "outside its tests"}`;

/** One that was late, until it is decided. */
async function again(scenario: Scenario, run: (args: readonly string[]) => Scenario[]): Promise<boolean> {
  const { file, name } = scenario;
  const only = name === null ? [] : ["-t", `^${escaped(name)}$`];
  const { isLate } = await decided(async (count): Promise<Worst> => {
    if (count === 0) return scenario.worst;
    console.log(`\nagain: ${titleOf(scenario)}`);
    const found = run([file, ...only]).find((one) => one.file === file && one.name === name);
    console.log(found === undefined ? "it did not run" : told(found.worst));
    return found?.worst ?? { excess: 0, wait: null, turn: null };
  });
  return isLate;
}

function print(scenarios: readonly Scenario[]): void {
  const seen = scenarios.filter(({ hasBystander }) => hasBystander);
  const sorted = seen.toSorted((a, b) => b.worst.excess - a.worst.excess);
  console.log("\nWhat the bystander felt, worst first:");
  for (const one of sorted) console.log(`  ${titleOf(one)}\n    ${told(one.worst, one.unknown)}`);
  const others = scenarios.filter(({ hasBystander, name }) => !hasBystander && name !== null);
  console.log(`\n${seen.length} with a bystander; ${others.length} without:`);
  for (const reason of new Set(others.map(reasonOf))) {
    const own = others.filter((one) => reasonOf(one) === reason);
    const files = [...new Set(own.map(({ file }) => relative(root, file)))];
    console.log(`  ${own.length}, since ${reason}: ${files.join(", ")}`);
  }
  for (const one of scenarios)
    if (one.failure !== null) console.log(`  failed in this mode: ${titleOf(one)}: ${one.failure}`);
}

const reasonOf = ({ unknown }: Scenario): string => unknown ?? "its daemon ended too soon";

const { values, positionals } = parseArgs({
  options: { json: { type: "string" }, only: { type: "string", short: "t" } },
  allowPositionals: true,
});
const directory = await tempDir();
const sshd = await startSshd();
try {
  const { host, port, user, identity, knownHosts } = sshd;
  const mode: Mode = {
    station: { host, port, user, identity, knownHosts },
    records: join(directory.path, "records"),
    tests: join(directory.path, "tests"),
    without,
  };
  const run = (args: readonly string[]) => runTests(mode, directory.path, args);
  const only = values.only === undefined ? [] : ["-t", values.only];
  const scenarios = run([...positionals, ...only]);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(scenarios, undefined, 2)}\n`);
  const late: Scenario[] = [];
  for (const one of scenarios) if (one.worst.excess > LIMIT_MS && (await again(one, run))) late.push(one);
  print(scenarios);
  console.log(`\n${late.length} kept the bystander waiting over ${LIMIT_MS} ms in two runs`);
  for (const one of late) console.log(`  ${titleOf(one)}`);
  process.exitCode = late.length > 0 || scenarios.length === 0 ? 1 : 0;
} finally {
  await sshd.stop();
  await directory.remove();
}
