// ssh2 as part of a program: users install one package with no others below it, and nothing is compiled that nothing uses.
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

// ssh2 compiles a WebAssembly module for Poly1305 as it is loaded, and uses it only where its compiled ciphers are missing:
// with them it stays away. V8's compiler of it alone is 3 MiB resident. What ssh2 asks of it at once is room and the function.
const poly1305 = (text) => `
let hasCiphers = true;
try { require("./sshcrypto.node"); } catch { hasCiphers = false; }
const unused = () => { throw new Error("ssh2 was to use its compiled Poly1305"); };
if (hasCiphers) module.exports = async () => ({ _malloc: () => 0, cwrap: () => unused });
else (() => {${text}
})();`;

/** For esbuild. The compiled ciphers are looked for beside the program; cpu-features, which only reorders ciphers, is left out. */
export const ssh2Inside = {
  name: "ssh2-inside",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/sshcrypto\.node$/ }, () => ({ path: "./sshcrypto.node", external: true }));
    onResolve({ filter: /^cpu-features$/ }, ({ path }) => ({ path, namespace: "left-out" }));
    onLoad({ filter: /./, namespace: "left-out" }, () => ({ contents: "module.exports = () => undefined;" }));
    onLoad({ filter: /\/ssh2\/lib\/protocol\/crypto\/poly1305\.js$/ }, async ({ path }) => ({
      contents: poly1305(await readFile(path, "utf8")),
    }));
  },
};

/** What ssh2's compiled ciphers are made of, for Node 26 too: it has no Context::GetIsolate, and the current one is meant. */
const cipherSource = async (root) =>
  (await readFile(join(root, "node_modules/ssh2/lib/protocol/crypto/src/binding.cc"), "utf8")).replaceAll(
    "context->GetIsolate()",
    "v8::Isolate::GetCurrent()",
  );

// As ssh2 has it, but for where the headers are.
const GYP = `{
  'variables': { 'real_openssl_major%': '0' },
  'targets': [{
    'target_name': 'sshcrypto',
    'include_dirs': ['nan'],
    'sources': ['binding.cc'],
    'cflags': ['-O3'],
    'defines': ['OPENSSL_API_COMPAT=0x10100000L', 'REAL_OPENSSL_MAJOR=<(real_openssl_major)'],
  }],
}
`;

/** Puts the ciphers' sources where packaging/npm/build-ciphers.cjs compiles them, and those that ssh2 has compiled here beside the programs. */
export async function placeCiphers(root) {
  const to = join(root, "dist/ciphers");
  const nan = join(root, "node_modules/nan");
  await rm(to, { recursive: true, force: true });
  await mkdir(join(to, "nan"), { recursive: true });
  await writeFile(join(to, "binding.gyp"), GYP);
  await writeFile(join(to, "binding.cc"), await cipherSource(root));
  await copyFile(join(root, "packaging/debian/try-ciphers.cjs"), join(to, "try-ciphers.cjs"));
  const headers = (await readdir(nan)).filter((name) => name.endsWith(".h"));
  for (const name of headers) await copyFile(join(nan, name), join(to, "nan", name));
  const compiled = join(root, "node_modules/ssh2/lib/protocol/crypto/build/Release/sshcrypto.node");
  const beside = join(root, "dist/sshcrypto.node");
  await rm(beside, { recursive: true, force: true });
  await copyFile(compiled, beside).catch((error) => {
    if (error.code !== "ENOENT") throw error;
  });
}
