// `npm run test:matrix [-- VERSION...]`: the suite on every Node that is supported, each in a copy of this tree with its own
// dependencies: ssh2's compiled part fits one Node's ABI, and would silently be left out on another.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const versions = process.argv.length > 2 ? process.argv.slice(2) : ["20", "22", "24", "26"];
const nodePackage = `node-${process.platform}-${process.arch}`;

function run(program, args, more = {}) {
  const { status, stdout, error } = spawnSync(program, args, {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    ...more,
  });
  if (status !== 0) throw new Error(error?.message ?? `${program} ${args.join(" ")}: exit ${status}`);
  return stdout;
}

/** Installs a Node from its npm package; gives its directory. */
function installNode(version, directory) {
  const args = ["install", "--prefix", directory, "--no-audit", "--no-fund", "--loglevel=error"];
  run("npm", [...args, `${nodePackage}@${version}`], { stdio: ["ignore", "ignore", "inherit"] });
  return join(directory, "node_modules", nodePackage);
}

/** Copies what git would commit, and what it would not ignore. */
function copyTree(to) {
  const listed = run("git", ["ls-files", "-co", "--exclude-standard", "-z"], { cwd: root });
  // A file that was deleted and not committed yet is still listed.
  for (const file of listed.split("\0").filter(Boolean))
    try {
      cpSync(join(root, file), join(to, file));
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
}

function testOn(version) {
  const directory = mkdtempSync(join(tmpdir(), `tunctl-node${version}-`));
  chmodSync(directory, 0o755); // there are tests in which other users run the programs
  try {
    const home = installNode(version, join(directory, "node"));
    const tree = join(directory, "tree");
    copyTree(tree);
    const node = join(home, "bin", "node");
    // Headers come with the package: what is compiled must fit this Node, not the one at hand.
    const env = {
      ...process.env,
      PATH: `${join(home, "bin")}:${process.env.PATH}`,
      npm_config_nodedir: home,
    };
    console.log(`\nNode ${run(node, ["-p", "process.versions.node"]).trim()}`);
    const inTree = { cwd: tree, env, stdio: ["ignore", "inherit", "inherit"] };
    run(node, ["scripts/setup.mjs", "--sshd"], inTree);
    run(node, ["scripts/test.mjs", "--tests"], inTree);
    return "passed";
  } catch (error) {
    return `failed: ${error.message}`;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const results = versions.map((version) => [version, testOn(version)]);
console.log("");
for (const [version, result] of results) console.log(`Node ${version}  ${result}`);
process.exitCode = results.every(([, result]) => result === "passed") ? 0 : 1;
