// npm runs this where the package is installed: it compiles ssh2's ciphers for the Node at hand. Without a compiler all works,
// at about twice the processor time, and `tunctl doctor` says so; so this never fails.
const { spawnSync } = require("node:child_process");
const { existsSync, renameSync, rmSync } = require("node:fs");
const { join } = require("node:path");

const root = join(__dirname, "..", "..");
const sources = join(root, "dist", "ciphers");
const built = join(sources, "build", "Release", "sshcrypto.node");
const DEADLINE_MS = 600_000;

function compile() {
  const openssl = process.versions.openssl.split(".")[0];
  // npm puts its own node-gyp on PATH.
  const { status, error } = spawnSync(
    "node-gyp",
    ["rebuild", `--target=${process.version}`, `--real_openssl_major=${openssl}`],
    { cwd: sources, stdio: "inherit", timeout: DEADLINE_MS },
  );
  if (error !== undefined || status !== 0) return error?.message ?? `node-gyp ended with exit code ${status}`;
  // A compiler may make what this Node does not load.
  const tried = spawnSync(process.execPath, [join(sources, "try-ciphers.cjs"), built], { encoding: "utf8" });
  if (tried.status !== 0) return `what was compiled does not work: ${tried.stderr}`;
  renameSync(built, join(root, "dist", "sshcrypto.node"));
  return null;
}

// In the project itself, ssh2 is installed for its tests, and has compiled its own.
if (existsSync(sources) && !existsSync(join(root, "node_modules", "ssh2"))) {
  const why = compile();
  rmSync(join(sources, "build"), { recursive: true, force: true });
  process.stdout.write(
    why === null ? "tunctl: the ciphers are compiled\n" : `tunctl: the ciphers are not compiled: ${why}\n`,
  );
}
