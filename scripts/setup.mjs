// What a fresh clone needs before anything else: `node scripts/setup.mjs [--sshd] [--build]`. Bare Node, no dependencies:
// it is what installs them. Quick and silent when there is nothing to do.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const at = (...parts) => join(root, ...parts);

const say = (line) => console.log(`setup: ${line}`);

function stop(...lines) {
  for (const line of lines) console.error(`setup: ${line}`);
  process.exit(1);
}

/** Runs a program to its end with its output held back; it is shown only if it fails. */
function run(program, args, more = {}) {
  const done = spawnSync(program, args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "pipe"],
    ...more,
  });
  const output = `${done.stdout ?? ""}${done.stderr ?? ""}${done.error ? done.error.message : ""}`;
  return { failed: done.status !== 0, missing: done.error?.code === "ENOENT", output };
}

const lastLines = (output, count = 15) => output.trimEnd().split("\n").slice(-count);

/** Runs a step that takes a while, and says so and how long it took. */
function step(what, task) {
  const started = Date.now();
  say(`${what} ...`);
  const result = task();
  if (!result.failed) say(`done in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return result;
}

const noNetwork = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED/;

function checkNode() {
  const floor = JSON.parse(readFileSync(at("package.json"), "utf8")).engines.node.replace(/[^0-9.]/g, "");
  const [major, minor] = process.versions.node.split(".").map(Number);
  const [needMajor, needMinor = 0] = floor.split(".").map(Number);
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return;
  stop(`Node ${floor} or later is needed; this is ${process.version} (${process.execPath})`);
}

/** What is installed and what the lockfile asks for, compared by content: a checkout changes times, not versions. */
function dependenciesAreCurrent() {
  const installedFile = at("node_modules", ".package-lock.json");
  if (!existsSync(installedFile)) return false;
  const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
  const wanted = JSON.parse(readFileSync(at("package-lock.json"), "utf8")).packages;
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (path === "") return true;
    const found = installed[path];
    // Optional packages are those for other systems, for the most part.
    if (found === undefined) return optional === true;
    return found.version === version && found.integrity === integrity;
  });
}

function npm(...args) {
  // The npm that runs us, if one does: another on PATH may be of another version.
  const path = process.env.npm_execpath;
  const [program, first] = path?.endsWith(".js") ? [process.execPath, [path]] : [path ?? "npm", []];
  return run(program, [...first, ...args, "--no-audit", "--no-fund", "--loglevel=error"]);
}

/** One short question: without a network npm would ask for every package in turn, for minutes. */
function registryAnswers() {
  const patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=15000"];
  return !noNetwork.test(npm("view", "ssh2", "name", "--prefer-online", ...patience).output);
}

/** `npm ci` wants optional packages for every other system in the lockfile too, and a registry may not have had them all. */
function lacksOnlyOptionalPackages(output) {
  const missing = output.match(/Missing: .*/g) ?? [];
  // What npm could not find, and need not, has no version.
  return missing.length > 0 && missing.every((line) => /^Missing: \S+@ from lock file/.test(line));
}

function installDependencies() {
  if (dependenciesAreCurrent()) return;
  let online = true;
  const result = step("installing the dependencies (npm ci)", () => {
    online = registryAnswers();
    const source = online ? "--prefer-offline" : "--offline";
    const clean = npm("ci", source);
    // This too installs what the lockfile says, and leaves the lockfile as it is.
    return clean.failed && lacksOnlyOptionalPackages(clean.output)
      ? npm("install", "--no-save", source)
      : clean;
  });
  if (result.missing) stop("npm is not on PATH; it comes with Node");
  if (!result.failed) return;
  if (!online)
    stop(
      "the package registry does not answer, and npm's cache has not everything: the first run needs a network",
    );
  stop("npm ci failed:", ...lastLines(result.output));
}

const SSHD = "/usr/sbin/sshd";

// The real programs that test/programs sends through forwards, the shells that complete, what reads man pages, and accounts out of thin
// air, each by the file that shows it is there.
const programPackages = {
  "libnss-wrapper": `/usr/lib/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu/libnss_wrapper.so`,
  "bash-completion": "/usr/share/bash-completion/bash_completion",
  fish: "/usr/bin/fish",
  "man-db": "/usr/bin/man",
  lintian: "/usr/bin/lintian",
  mandoc: "/usr/bin/mandoc",
  zsh: "/usr/bin/zsh",
  curl: "/usr/bin/curl",
  rsync: "/usr/bin/rsync",
  postgresql: "/usr/lib/postgresql",
};

function provideSshd() {
  const isRoot = process.getuid?.() === 0;
  const canInstall = isRoot && existsSync("/usr/bin/apt-get");
  if (!existsSync(SSHD)) {
    if (!canInstall)
      stop(
        `the tests need OpenSSH's server, and ${SSHD} is not there`,
        "install it (package openssh-server on Debian, Ubuntu and Fedora; openssh on Alpine and Arch); it need not run",
      );
    const { failed, output } = installPackages(["openssh-server"]);
    if (failed) stop("apt-get install openssh-server failed:", ...lastLines(output));
  }
  // Elsewhere the tests that want them are skipped, and say so: nobody's machine gets a database for a test.
  if (canInstall && process.env.CI === "true") providePrograms();
  // sshd's privilege separation directory: made at boot where sshd is a service, and gone where it is not.
  if (isRoot) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
}

function providePrograms() {
  const missing = Object.entries(programPackages).filter(([, file]) => !existsSync(file));
  if (missing.length === 0) return;
  const { failed, output } = installPackages(missing.map(([name]) => name));
  if (failed)
    for (const line of ["apt-get failed, and their tests are skipped:", ...lastLines(output)]) say(line);
}

const noArchive = /Temporary failure resolving|Could not (connect|resolve)|no installation candidate/;

const ignore = () => {};

function installPackages(names) {
  const result = step(`installing ${names.join(", ")} for the tests (apt-get), not starting it`, () =>
    aptInstall(names),
  );
  if (noArchive.test(result.output)) say("the package archive could not be reached:");
  return result;
}

/** A clone's tests must not open a port of whoever runs them: a package's own script asks this policy first. */
function aptInstall(names) {
  const policy = "/usr/sbin/policy-rc.d";
  const ours = !existsSync(policy);
  // With a listener, Ctrl-C ends apt-get and not us, and the policy is taken away again.
  process.on("SIGINT", ignore);
  if (ours) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const update = run("apt-get", ["-q", "update"], { env });
    const install = run("apt-get", ["-q", "install", "-y", "--no-install-recommends", ...names], { env });
    return { failed: install.failed, output: update.output + install.output };
  } finally {
    if (ours) rmSync(policy, { force: true });
    process.off("SIGINT", ignore);
  }
}

const programs = ["dist/tund.cjs", "dist/tunctl.cjs", "dist/tunctl-all.cjs", "dist/man/tund.8"].map((file) =>
  at(file),
);
const sources = [
  "daemon",
  "cli",
  "shared",
  "docs/man",
  "scripts",
  "packaging",
  "package.json",
  "package-lock.json",
];

function newest(path) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  // A directory's own time counts too: it changes when a file in it goes away.
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function buildPrograms() {
  const built = Math.min(...programs.map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0));
  if (built > Math.max(...sources.map((source) => newest(at(source))))) return;
  const result = step("building tund and tunctl", () => run(process.execPath, [at("scripts", "build.mjs")]));
  if (result.failed) stop("the build failed:", ...lastLines(result.output, 40));
}

checkNode();
installDependencies();
if (process.argv.includes("--sshd")) provideSshd();
if (process.argv.includes("--build")) buildPrograms();
