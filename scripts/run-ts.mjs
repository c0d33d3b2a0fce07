// Runs a TypeScript file: `node scripts/run-ts.mjs FILE.ts [args]`. Node 20 cannot strip types, so esbuild bundles it first.
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, stop } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const [node, , given, ...args] = process.argv;
if (given === undefined || !existsSync(given)) {
  console.error(
    given === undefined ? "usage: node scripts/run-ts.mjs FILE.ts [args]" : `there is no ${given}`,
  );
  process.exit(2);
}

const file = resolve(given);
// Inside node_modules, so that packages resolve as they would from the source; a file a process, so that two runs at the
// same time do not overwrite each other.
const cache = join(root, "node_modules", ".cache", "run-ts");
const bundle = join(cache, `${basename(file, ".ts")}-${process.pid}.mjs`);
process.once("exit", () => rmSync(bundle, { force: true }));
mkdirSync(cache, { recursive: true });

/** Each source keeps its own import.meta: a path relative to it means the same as it would unbundled. */
const ownImportMeta = {
  name: "own-import-meta",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const values = { url: pathToFileURL(path).href, dirname: dirname(path), filename: path };
      const contents = readFileSync(path, "utf8").replaceAll(
        /\bimport\.meta\.(url|dirname|filename)\b/g,
        (_, name) => JSON.stringify(values[name]),
      );
      return { contents, loader: "ts" };
    }),
};

await build({
  entryPoints: [file],
  outfile: bundle,
  bundle: true,
  packages: "external",
  platform: "node",
  target: "node20.19",
  format: "esm",
  sourcemap: "inline",
  logLevel: "warning",
  plugins: [ownImportMeta],
});
// Its service process is of no more use, and would take processor time from what is measured.
await stop();

// The program finds its arguments where it would without us.
process.argv = [node, file, ...args];
process.setSourceMapsEnabled(true);
await import(pathToFileURL(bundle).href);
