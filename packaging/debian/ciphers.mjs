// ssh2's compiled ciphers for every Node that the package may meet: a nan addon fits one ABI, and Debian's nodejs is not
// the one of NodeSource. The headers are those of Node's own npm packages.
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One of each ABI: 115, 127, 137, 147. */
const nodes = ["20.20.2", "22.23.3", "24.21.0", "26.10.0"];

// As binding.gyp has it, and what Node's common.gypi adds.
const defines = [
  "NODE_GYP_MODULE_NAME=sshcrypto",
  "BUILDING_NODE_EXTENSION",
  "USING_UV_SHARED=1",
  "USING_V8_SHARED=1",
  "_FILE_OFFSET_BITS=64",
  "OPENSSL_NO_PINSHARED",
  "OPENSSL_THREADS",
  "OPENSSL_API_COMPAT=0x10100000L",
  "REAL_OPENSSL_MAJOR=3",
].map((define) => `-D${define}`);
// C++20 is what the headers of Node 24 ask for.
const flags = [
  "-O3",
  "-fPIC",
  "-shared",
  "-s",
  "-std=gnu++20",
  "-fno-rtti",
  "-fno-exceptions",
  "-w",
  "-Wl,-z,relro,-z,now",
  ...defines,
];

const abiOf = (include) =>
  readFileSync(join(include, "node_version.h"), "utf8").match(/define NODE_MODULE_VERSION (\d+)/)[1];

const sourceOf = (root) => readFileSync(join(root, "dist/ciphers/binding.cc"), "utf8");

/** Compiles it for one Node, and has that Node use it. Gives the ABI and the file, in `directory`. */
function compile({ root, output, directory, version, source }) {
  const name = `node-linux-${process.arch}@${version}`;
  const archive = output(
    "npm",
    "pack",
    name,
    "--silent",
    "--prefer-offline",
    `--pack-destination=${directory}`,
  );
  output(
    "tar",
    "-xzf",
    join(directory, archive.trim()),
    "-C",
    directory,
    "package/include",
    "package/bin/node",
  );
  const include = join(directory, "package/include/node");
  const abi = abiOf(include);
  const [from, to] = [join(directory, "binding.cc"), join(directory, `${abi}.node`)];
  writeFileSync(from, source);
  // No path of this machine is to be in it.
  const paths = [root, directory].map((path) => `-ffile-prefix-map=${path}=.`);
  const includes = [include, join(root, "node_modules/nan")].map((path) => `-I${path}`);
  output(process.env.CXX ?? "c++", ...flags, ...paths, ...includes, from, "-o", to);
  output(join(directory, "package/bin/node"), join(root, "packaging/debian/try-ciphers.cjs"), to);
  return { abi, file: to };
}

/**
 * Makes them, or finds them made: each download is 50 MB.
 * @param root the project's directory
 * @param output runs a program in it and gives what it says; throws when it fails
 * @param say tells what takes a while
 * @returns for each ABI the path of its file
 */
export function ciphersForEveryNode(root, output, say) {
  const source = sourceOf(root);
  const key = createHash("sha256").update(source).update(flags.join()).digest("hex").slice(0, 16);
  return nodes.map((version) => {
    const cache = join(root, "node_modules/.cache/ciphers", `${key}-${process.arch}-${version}`);
    const cached = join(cache, "sshcrypto.node");
    if (existsSync(cached)) return { abi: readFileSync(join(cache, "abi"), "utf8"), file: cached };
    const directory = mkdtempSync(join(tmpdir(), "tunctl-ciphers-"));
    try {
      say(`compiling the ciphers for Node ${version}`);
      const { abi, file } = compile({ root, output, directory, version, source });
      mkdirSync(cache, { recursive: true });
      writeFileSync(join(cache, "abi"), abi);
      // Whole or not at all: another build may look.
      copyFileSync(file, `${cached}.${process.pid}`);
      renameSync(`${cached}.${process.pid}`, cached);
      return { abi, file: cached };
    } catch (error) {
      const advice = "'npm run deb -- --this-node' builds a package with those of this Node alone";
      throw new Error(`no ciphers for Node ${version}: ${error.message}\n${advice}`, { cause: error });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
}
