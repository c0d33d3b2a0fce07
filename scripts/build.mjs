// Bundles each program to one CommonJS file: it starts in a third of the time, and a CommonJS bundle loads node:http without undici.
import { chmod, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { billOfMaterials } from "../packaging/bill-of-materials.mjs";
import { thirdParty } from "../packaging/third-party.mjs";
import { placeCiphers, ssh2Inside } from "./ssh2-inside.mjs";

const { version } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));

const common = {
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "cjs",
  // A require() instead: import() would start the machinery of ES modules first, which takes longer than all the rest.
  supported: { "dynamic-import": false },
  banner: { js: "#!/usr/bin/env node" },
  define: { __VERSION__: JSON.stringify(version) },
  legalComments: "linked",
  metafile: true,
  logLevel: "warning",
};

function output(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${args.join(" ")} failed: ${stderr}`);
  return stdout;
}

const root = fileURLToPath(new URL("..", import.meta.url));
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Schemas, and what is compiled of them: done here, so that nothing that does it is in the daemon. */
const compiledSchemas = {
  name: "compiled-schemas",
  setup({ onLoad, onEnd }) {
    const texts = JSON.parse(output("scripts/run-ts.mjs", "scripts/compiled-schemas.ts"));
    const sources = new Map(Object.entries(texts).map(([path, text]) => [at(path), text]));
    onLoad({ filter: /\.ts$/ }, ({ path }) =>
      sources.has(path) ? { contents: sources.get(path), resolveDir: dirname(path) } : undefined,
    );
    onEnd(({ metafile }) => {
      const compilers = /node_modules\/(typebox|ajv\/dist\/(core|compile)|fast-json-stringify\/index)/;
      const text = Object.keys(metafile?.inputs ?? {}).find((path) => compilers.test(path));
      return text === undefined ? undefined : { errors: [{ text: `the daemon would load ${text}` }] };
    });
  },
};

// V8 looks through all of a file before it runs any of it, which for all of tunctl takes longer than what a quick verb has to
// do. So that is the first file, and everything the second, which has no need of the first.
const tunctlAll = {
  name: "tunctl-all",
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/run\.ts$/ }, ({ kind }) =>
      kind === "dynamic-import" ? { path: "./tunctl-all.cjs", external: true } : undefined,
    ),
};

// Fastify would load these if it were told of no compilers.
const external = ["@fastify/ajv-compiler", "@fastify/fast-json-stringify-compiler"];
const built = await Promise.all([
  build({
    ...common,
    entryPoints: ["daemon/main.ts"],
    outfile: "dist/tund.cjs",
    external,
    plugins: [compiledSchemas, ssh2Inside],
    // V8 keeps the text for as long as the daemon runs. Names and lines stay: a trace of the stack can be read.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
  }),
  build({ ...common, entryPoints: ["cli/main.ts"], outfile: "dist/tunctl.cjs", plugins: [tunctlAll] }),
  build({ ...common, entryPoints: ["cli/run.ts"], outfile: "dist/tunctl-all.cjs", banner: {} }),
  // For the process that computes post-quantum key exchange.
  build({
    ...common,
    entryPoints: ["daemon/ssh/kex/worker.ts"],
    outfile: "dist/kem-worker.cjs",
    banner: {},
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
  }),
  // For the process that opens an identity without OpenSSH's tools.
  build({
    ...common,
    entryPoints: ["ssh2/lib/protocol/keyParser.js"],
    outfile: "dist/key-parser.cjs",
    banner: {},
    plugins: [ssh2Inside],
  }),
]);
await placeCiphers(root);

// Whose code is in the programs: the licences of these go along with a package. nan's is in the compiled ciphers.
const inputs = built.flatMap(({ metafile }) => Object.keys(metafile.inputs));
const bundled = inputs
  .map((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0])
  .filter((directory) => directory !== undefined);
const shipped = [...new Set([...bundled, "node_modules/nan"])].toSorted();
const notices = await Promise.all(
  ["tund", "kem-worker"].map((name) => readFile(`dist/${name}.cjs.LEGAL.txt`, "utf8")),
);
await writeFile("dist/inputs.json", JSON.stringify([...new Set(inputs)].toSorted()));
await writeFile("dist/shipped.json", JSON.stringify(shipped));
await writeFile("dist/THIRD-PARTY.txt", thirdParty(root, shipped, notices.join("\n")));
await writeFile("dist/sbom.cdx.json", billOfMaterials(root, shipped));

await copyFile("daemon/ssh/askpass.sh", "dist/askpass.sh");
const programs = ["dist/tund.cjs", "dist/tunctl.cjs", "dist/askpass.sh"];
await Promise.all(programs.map((file) => chmod(file, 0o755)));

// What packages put where the shells look: each under the name that its shell wants.
await mkdir("dist/completions", { recursive: true });
for (const [shell, name] of Object.entries({ bash: "tunctl", zsh: "_tunctl", fish: "tunctl.fish" }))
  await writeFile(`dist/completions/${name}`, output("dist/tunctl.cjs", "completion", shell));

output("scripts/run-ts.mjs", "scripts/man.ts", "dist/man");

// The one compiled file, where there is a compiler: without it some features are off, and `tunctl doctor` says so.
const compiled = spawnSync(
  process.env.CC ?? "cc",
  "-Wall -Wextra -Werror -O2 -s -shared -fPIC -DNAPI_VERSION=8 -I"
    .split(" ")
    .concat(
      at("node_modules/node-api-headers/include"),
      ["-o", at(`dist/unixfd-${process.platform}-${process.arch}.node`)],
      at("shared/native/unixfd.c"),
      at("shared/native/child.c"),
      at("shared/native/socket.c"),
    ),
  { encoding: "utf8" },
);
if (compiled.status !== 0 && process.platform === "linux") {
  const why = compiled.error?.message ?? compiled.stderr;
  console.warn(`built without the compiled file (see 'tunctl doctor'): ${why}`);
}
