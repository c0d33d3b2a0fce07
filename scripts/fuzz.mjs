// `npm run fuzz -- --minutes N [--seed S] [--only KIND] [--part P]`: test/hostile's campaigns for as long as that, from a seed that
// nobody has chosen unless one is given. Each prints its seed, how many inputs it had, and what it found; at the end stand the
// branches that were reached. What it finds comes again by the seed and the part that it names.
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const text = { type: "string" };
const { values } = parseArgs({ options: { minutes: text, seed: text, only: text, part: text } });
const minutes = Number(values.minutes ?? 10);
const seed = values.seed ?? String(randomInt(2 ** 32));

const directory = join(root, "test", "hostile");
const campaigns = readdirSync(directory)
  .filter((name) => name.endsWith(".test.ts"))
  .flatMap((name) =>
    [...readFileSync(join(directory, name), "utf8").matchAll(/kind: "([a-z-]+)",\n\s+inputs:/g)].map(
      ([, kind]) => ({ name, kind }),
    ),
  );
const chosen = campaigns.filter(({ kind }) => values.only === undefined || kind === values.only);
if (chosen.length === 0 || !(minutes > 0)) {
  console.error(
    `fuzz: --minutes is a number, and --only one of ${campaigns.map(({ kind }) => kind).join(", ")}`,
  );
  process.exit(1);
}
console.log(`fuzz: seed ${seed}, ${minutes} minutes for ${chosen.map(({ kind }) => kind).join(", ")}`);

// The adapter to ssh2, and whatever reads what others have written.
const reached = [
  "daemon/ssh/ssh2/**",
  "daemon/ssh/{agent,certificate,known-hosts,private-key,host-config}.ts",
  "daemon/mux/{protocol,forward-request}.ts",
  "daemon/forwards/{socks,http-connect}.ts",
  "daemon/{wire-format,state-file,store}.ts",
  "shared/forward-spec.ts",
].map((files) => `--coverage.include=${files}`);
const coverage = ["--coverage", "--coverage.reporter=text", "--coverage.reportOnFailure", ...reached];

const files = [...new Set(chosen.map(({ name }) => join("test", "hostile", name)))];
const { status } = spawnSync(
  "vitest",
  [
    "run",
    "--project",
    "hostile",
    "--no-file-parallelism",
    "--disable-console-intercept",
    ...coverage,
    ...files,
  ],
  {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      PATH: `${join(root, "node_modules", ".bin")}:${dirname(process.execPath)}:${process.env.PATH}`,
      HOSTILE_MS: String(Math.round((minutes * 60_000) / chosen.length)),
      HOSTILE_SEED: seed,
      HOSTILE_ONLY: values.only ?? "",
      ...(values.part === undefined ? {} : { HOSTILE_PART: values.part }),
    },
  },
);
process.exitCode = status ?? 1;
