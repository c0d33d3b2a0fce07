// Builds dist/deb/tunctl_VERSION_ARCH.deb from what scripts/build.mjs has made:
// `node scripts/deb.mjs [--version VERSION] [--out DIR] [--this-node]`.
// The same commit gives the same bytes. What is where in it, and its control files, are in packaging/debian.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { changelog } from "../packaging/debian/changelog.mjs";
import { ciphersForEveryNode } from "../packaging/debian/ciphers.mjs";
import { copyright } from "../packaging/debian/copyright.mjs";
import { ciphers, compressed, conffiles, plain } from "../packaging/debian/layout.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const at = (...parts) => join(root, ...parts);
const debian = (name) => at("packaging", "debian", name);
// On stderr: stdout tells what was built.
const say = (line) => console.error(`deb: ${line}`);
const read = (path) => readFileSync(path, "utf8");

const LIB = "usr/lib/tunctl";
const DOC = "usr/share/doc/tunctl";
const programs = ["tund", "tunctl"];
const native = `unixfd-linux-${process.arch}.node`;

function output(program, ...args) {
  try {
    return execFileSync(program, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    throw new Error(`${program} is not on PATH, and the package cannot be built without it`, {
      cause: error,
    });
  }
}

const gzip = (content) => execFileSync("gzip", ["-9n"], { input: content });

const filesIn = (directory) =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();

/** A directory that becomes the package; umask and modes of the source have no say. */
class Stage {
  constructor(path) {
    this.path = path;
  }

  write(to, content, mode = 0o644) {
    const path = join(this.path, to);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    chmodSync(path, mode);
  }

  copy(from, to) {
    if (!existsSync(from)) throw new Error(`${relative(root, from)} is missing: ${whyMissing(from)}`);
    mkdirSync(dirname(join(this.path, to)), { recursive: true });
    copyFileSync(from, join(this.path, to));
    chmodSync(join(this.path, to), 0o644);
  }

  link(target, to) {
    mkdirSync(dirname(join(this.path, to)), { recursive: true });
    symlinkSync(target, join(this.path, to));
  }
}

function whyMissing(path) {
  if (path.endsWith(ciphers)) return "'npm rebuild ssh2' makes it, with python3, make and g++";
  if (path.endsWith(native)) return "'npm run build' makes it, with a C compiler";
  return "'npm run build' makes it";
}

/** tund and tunctl, by Debian's own node, whatever else is on somebody's PATH. */
function stagePrograms(stage, thisNode) {
  for (const name of programs) {
    const text = read(at("dist", `${name}.cjs`)).replace("#!/usr/bin/env node", "#!/usr/bin/node");
    stage.write(`${LIB}/${name}.cjs`, text, 0o755);
    stage.link(`../lib/tunctl/${name}.cjs`, `usr/bin/${name}`);
  }
  stage.write(`${LIB}/askpass.sh`, read(at("dist", "askpass.sh")), 0o755);
  for (const file of ["tunctl-all.cjs", "key-parser.cjs", "kem-worker.cjs", native])
    stage.copy(at("dist", file), `${LIB}/${file}`);
  stage.write(`${LIB}/${ciphers}/package.json`, `{ "main": "pick-ciphers.cjs" }\n`);
  const compiledCiphers = thisNode
    ? [{ abi: process.versions.modules, file: at("dist", ciphers) }]
    : ciphersForEveryNode(root, output, say);
  for (const { abi, file } of compiledCiphers) stage.copy(file, `${LIB}/${ciphers}/${abi}.node`);
  const compiled = filesIn(join(stage.path, LIB)).filter((file) => file.endsWith(".node"));
  output("strip", "--strip-unneeded", "--remove-section=.comment", ...compiled);
}

function stageDocuments(stage, release) {
  for (const [from, to] of Object.entries(plain)) stage.copy(at(from), to);
  for (const [from, to] of Object.entries(compressed)) {
    if (!existsSync(at(from))) throw new Error(`${from} is missing: ${whyMissing(from)}`);
    stage.write(to, gzip(readFileSync(at(from))));
  }
  const shipped = JSON.parse(read(at("dist", "shipped.json")));
  const notices = read(at("dist", "tund.cjs.LEGAL.txt"));
  stage.write(`${DOC}/copyright`, copyright(root, shipped, notices));
  stage.write(`${DOC}/changelog.gz`, gzip(changelog(read(at("CHANGELOG.md")), release)));
}

/** The C libraries that compiled files ask for, as Debian calls them: the newest version of a symbol tells which glibc. */
function libraries(files) {
  const text = files.map((file) => readFileSync(file, "latin1")).join("");
  const minors = [...text.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  return [
    `libc6 (>= 2.${Math.max(...minors)})`,
    ...(text.includes("libstdc++.so.6") ? ["libstdc++6"] : []),
  ].join(", ");
}

function stageControl(stage, { debianVersion, architecture, node }) {
  const files = filesIn(stage.path);
  const values = {
    VERSION: debianVersion,
    ARCHITECTURE: architecture,
    NODE: node,
    LIBRARIES: libraries(files.filter((file) => file.endsWith(".node"))),
    SIZE: files.reduce((kilobytes, file) => kilobytes + Math.ceil(statSync(file).size / 1024), 0),
  };
  const sums = files
    .map((file) => [createHash("md5").update(readFileSync(file)).digest("hex"), relative(stage.path, file)])
    // Those are to be changed by people.
    .filter(([, path]) => !conffiles.includes(`/${path}`))
    .map(([sum, path]) => `${sum}  ${path}\n`);
  stage.write(
    "DEBIAN/control",
    read(debian("control")).replaceAll(/@([A-Z]+)@/g, (_, name) => values[name]),
  );
  stage.write("DEBIAN/md5sums", sums.join(""));
  stage.write("DEBIAN/conffiles", conffiles.map((path) => `${path}\n`).join(""));
  for (const script of ["postinst", "prerm", "postrm"])
    stage.write(`DEBIAN/${script}`, read(debian(script)), 0o755);
}

/** It stands alone: what is loaded is in the package, and the ciphers are the compiled ones. */
function tryOut(stage) {
  const lib = join(stage.path, LIB);
  const load = `const load = require("module").createRequire(${JSON.stringify(`${lib}/tund.cjs`)});
    load("./key-parser.cjs"); load("./${ciphers}"); load("./${native}");`;
  output(process.execPath, "-e", load);
  for (const name of programs) output(process.execPath, join(lib, `${name}.cjs`), "--help");
}

/** Seconds since 1970 that every date in the package is: https://reproducible-builds.org/docs/source-date-epoch/ */
function epoch() {
  if (process.env.SOURCE_DATE_EPOCH) return Number(process.env.SOURCE_DATE_EPOCH);
  // A tree that was copied has no history, but times.
  return existsSync(at(".git"))
    ? Number(output("git", "log", "-1", "--format=%ct"))
    : Math.floor(statSync(at("CHANGELOG.md")).mtimeMs / 1000);
}

function releaseOf(given) {
  const { version, engines } = JSON.parse(read(at("package.json")));
  return {
    version,
    // In Debian's order 1.0.0~rc.1 is before 1.0.0.
    debianVersion: given ?? version.replace("-", "~"),
    architecture: output("dpkg", "--print-architecture").trim(),
    node: engines.node.replace(/[^0-9.]/g, ""),
    maintainer: read(debian("control")).match(/^Maintainer: (.*)/m)[1],
    date: new Date(epoch() * 1000),
  };
}

function makeDirectoriesPlain(directory) {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) makeDirectoriesPlain(join(directory, entry.name));
}

function build(release, { out: directory, "this-node": thisNode }) {
  // Outside the project, so that nothing is found in its node_modules.
  const stage = new Stage(mkdtempSync(join(tmpdir(), "tunctl-deb-")));
  try {
    stagePrograms(stage, thisNode);
    stageDocuments(stage, release);
    tryOut(stage);
    stageControl(stage, release);
    makeDirectoriesPlain(stage.path);
    const file = join(directory, `tunctl_${release.debianVersion}_${release.architecture}.deb`);
    mkdirSync(directory, { recursive: true });
    process.env.SOURCE_DATE_EPOCH = String(release.date.getTime() / 1000);
    output("dpkg-deb", "--root-owner-group", "-Zxz", "--build", stage.path, file);
    return file;
  } finally {
    rmSync(stage.path, { recursive: true, force: true });
  }
}

try {
  const { values } = parseArgs({
    options: {
      version: { type: "string" },
      out: { type: "string", default: at("dist", "deb") },
      "this-node": { type: "boolean" },
    },
  });
  console.log(relative(process.cwd(), build(releaseOf(values.version), values)));
} catch (error) {
  say(error.message);
  process.exitCode = 1;
}
