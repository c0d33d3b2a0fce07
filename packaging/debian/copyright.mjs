// The machine-readable copyright file (DEP-5) of the package: ours, and that of every npm package whose code is in it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const indented = (text) =>
  text
    .trim()
    .split("\n")
    .map((line) => (line.trim() === "" ? " ." : ` ${line.trimEnd()}`))
    .join("\n");

const field = (name, lines) => `${name}: ${lines.join(`\n${" ".repeat(name.length + 2)}`)}`;

const isCopyright = (line) => /^\s*(©|Copyright\b)(?! (License|notice|holder|owner|\[))/i.test(line);

function describe(root, directory) {
  const at = join(root, directory);
  const { name, version, author, ...more } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"));
  const license = more.license ?? more.licenses?.[0].type;
  const file = readdirSync(at).find((entry) => /^(licen[cs]e|copying)(\.(md|txt))?$/i.test(entry));
  const text = file && readFileSync(join(at, file), "utf8");
  const holders = text?.split("\n").filter(isCopyright);
  const authors = typeof author === "string" ? author : (author?.name ?? `the authors of ${name}`);
  if (typeof license !== "string") throw new Error(`${directory}/package.json names no licence`);
  const by = holders?.length > 0 ? holders.map((line) => line.trim()) : [authors];
  return { name, version, license, text, by, directory };
}

/** What is said of one package: the text of its licence word for word, unless Debian has it for all. */
function paragraph({ name, version, license, text, by, directory }) {
  const start = [`Files: ${directory}/*`, field("Copyright", by), `License: ${license}`];
  const what = `Comment: ${name} ${version}`;
  if (license === "Apache-2.0") return [...start, what].join("\n");
  if (text !== undefined) return [...start, indented(text), what].join("\n");
  if (license !== "MIT") throw new Error(`${directory} has no file with its licence`);
  return [...start, `${what}; its package.json says MIT, and no text is with it`].join("\n");
}

const APACHE = `License: Apache-2.0
 On Debian systems, the text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.`;

/**
 * Writes the file's text.
 * @param root the project's directory
 * @param directories of npm packages in it
 * @throws Error that names a package whose licence is not to be found
 */
export function copyright(root, directories) {
  const ours = readFileSync(join(root, "LICENSE"), "utf8");
  const holder = ours.match(/^Copyright .*/m)[0];
  const mit = ours.slice(ours.indexOf("Permission is hereby"));
  const packages = directories.toSorted().map((directory) => describe(root, directory));
  return [
    [
      "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
      "Comment: The paths are those of the source tree after its dependencies were installed. Most of the packages",
      " in node_modules are bundled in /usr/lib/tunctl/tund.cjs; the others lie in /usr/lib/tunctl/node_modules.",
    ].join("\n"),
    `Files: *\nCopyright: ${holder.replace("Copyright ", "")}\nLicense: MIT`,
    ...packages.map(paragraph),
    `License: MIT\n${indented(mit)}`,
    APACHE,
  ]
    .join("\n\n")
    .concat("\n");
}
