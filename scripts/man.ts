// `node scripts/run-ts.mjs scripts/man.ts DIRECTORY` writes the man pages there, from docs/man and from what the programs say
// of themselves.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { roffOf } from "./roff.ts";
import { tunctlParts } from "./tunctl-page.ts";
import { tundParts } from "./tund-page.ts";

const root = new URL("..", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

/** The newest release's, so that a page built twice is the same page; before the first there is none. */
function releaseDate(): string {
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  if (epoch !== undefined) return new Date(Number(epoch) * 1000).toISOString().slice(0, 10);
  return /^## .*(\d{4}-\d\d-\d\d)/m.exec(read("CHANGELOG.md"))?.[1] ?? "";
}

const [directory = "."] = process.argv.slice(2);
const { version } = JSON.parse(read("package.json")) as { version: string };
const pages = [
  { name: "tunctl", section: 1, manual: "User Commands", parts: tunctlParts },
  { name: "tund", section: 8, manual: "System Administration", parts: tundParts },
];

mkdirSync(directory, { recursive: true });
for (const { name, section, manual, parts } of pages) {
  const title = `.TH ${name.toUpperCase()} ${section} "${releaseDate()}" "tunctl ${version}" "${manual}"`;
  // No hyphenation and an even left edge alone: commands are not to be torn apart.
  const lines = [title, ".nh", ".ad l", ...roffOf(read(`docs/man/${name}.md`), parts)];
  writeFileSync(join(directory, `${name}.${section}`), `${lines.join("\n")}\n`);
}
