// `node scripts/audit.mjs [SECONDS]`: prints what advisories there are on the packages whose code is shipped. A new one is
// nobody's commit, and a registry need not answer, so it always ends with 0, and within that time (15 s).
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const seconds = Number(process.argv[2] ?? 15);
const say = (line) => console.log(`audit    ${line}`);

/** Asks it of npm. @throws Error with why there is no answer */
function ask() {
  const path = process.env.npm_execpath;
  const [program, first] = path?.endsWith(".js") ? [process.execPath, [path]] : ["npm", []];
  const args = ["audit", "--json", "--package-lock-only", "--fetch-retries=0", "--no-update-notifier"];
  // It exits with 1 when there are advisories.
  const { stdout, error } = spawnSync(program, [...first, ...args], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    timeout: seconds * 1000,
    killSignal: "SIGKILL",
  });
  if (error?.code === "ETIMEDOUT") throw new Error(`no answer in ${seconds} s`);
  if (error !== undefined) throw error;
  const answer = JSON.parse(stdout);
  if (answer.vulnerabilities === undefined) throw new Error(answer.message ?? "the answer makes no sense");
  return answer.vulnerabilities;
}

/** Of all that npm knows of, what is in the packages: each with its advisories, or with the packages that it has them from. */
function concerning(vulnerabilities, shipped) {
  return Object.values(vulnerabilities)
    .filter(({ nodes }) => nodes.some((node) => shipped.includes(node)))
    .map(({ name, severity, via }) => {
      const why = via.map((one) => (typeof one === "string" ? `by ${one}` : `${one.title} (${one.url})`));
      return `${name}: ${severity}: ${why.join("; ")}`;
    });
}

try {
  const shipped = JSON.parse(readFileSync(join(root, "dist", "shipped.json"), "utf8"));
  const found = concerning(ask(), shipped);
  if (found.length === 0) say(`no advisory on any of the ${shipped.length} packages that are shipped`);
  for (const line of found) say(line);
} catch (error) {
  say(`not asked: ${error.message.split("\n")[0]}`);
}
