// `npm test`: every check, then the suite; it stops at the first that fails. `--checks` and `--tests` are the halves of it, and
// `npm test -- ARGS` runs vitest alone with ARGS. The last line is `N passed, N failed`: who reads only the end knows.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, "node_modules", ".cache");
const reportFile = join(cache, `vitest-${process.pid}.json`);
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

// package.json's scripts, cheap ones first. The tests run what was built, so the build is before them.
const checks = ["check:format", "check:lint", "check:types", "build", "check:unused", "check:package"];

// npm puts node_modules/.bin on PATH; this makes it true for `node scripts/test.mjs` as well.
const env = { ...process.env, PATH: `${join(root, "node_modules", ".bin")}:${process.env.PATH}` };

function passes(check) {
  const name = check.replace("check:", "");
  const started = Date.now();
  const { status, signal, stdout, stderr } = spawnSync(scripts[check], {
    cwd: root,
    env,
    shell: true,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status === 0) {
    console.log(`${name.padEnd(8)} ok  ${((Date.now() - started) / 1000).toFixed(1)} s`);
    return true;
  }
  console.log(`${stdout}${stderr}`);
  console.log(`${name} failed: ${scripts[check]} (${signal ?? `exit ${status}`}); nothing after it was run`);
  return false;
}

/** Counts from vitest's report. Nothing that went wrong counts as nothing: see the two comments. */
function count(report, status) {
  // A file that could not be loaded has no tests.
  const broken = report.testResults.filter((f) => f.status === "failed" && f.assertionResults.length === 0);
  const failed = report.numFailedTests + broken.length;
  return {
    passed: report.numPassedTests,
    // An error outside every test (a rejection that nobody handled) fails the run and no test.
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function runTests(args) {
  mkdirSync(cache, { recursive: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  const { status } = spawnSync("vitest", ["run", ...reporters, ...args], {
    cwd: root,
    env,
    stdio: "inherit",
  });
  try {
    return count(JSON.parse(readFileSync(reportFile, "utf8")), status);
  } catch (error) {
    console.log(`vitest left no report (exit ${status}): ${error.message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  } finally {
    rmSync(reportFile, { force: true });
  }
}

const args = process.argv.slice(2);
const only = { "--checks": args[0] === "--checks", "--tests": args[0] === "--tests" };
const testsAlone = args.length > 0 && !only["--checks"];
const checked = (testsAlone ? ["build"] : checks).every(passes);

if (only["--checks"]) {
  // Told, and no reason to fail.
  if (checked) spawnSync(scripts["check:audit"], { cwd: root, env, shell: true, stdio: "inherit" });
  process.exitCode = checked ? 0 : 1;
} else {
  // A check that failed is the one failure of a run that has no tests.
  const result = checked
    ? runTests(only["--tests"] ? args.slice(1) : args)
    : { passed: 0, failed: 1, skipped: 0 };
  const { passed, failed, skipped } = result;
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
