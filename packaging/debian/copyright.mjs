// The machine-readable copyright file (DEP-5) of the package: ours, and that of every npm package whose code is in it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { licenceOf } from "../licences.mjs";

const indented = (text) =>
  text
    .trim()
    .split("\n")
    .map((line) => (line.trim() === "" ? " ." : ` ${line.trimEnd()}`))
    .join("\n");

const field = (name, lines) => `${name}: ${lines.join(`\n${" ".repeat(name.length + 2)}`)}`;

/** What is said of one package: the text of its licence word for word, unless Debian has it for all. */
function paragraph({ name, version, license, text, notice, by, directory }) {
  const start = [`Files: ${directory}/*`, field("Copyright", by), `License: ${license}`];
  const what = `Comment: ${name} ${version}`;
  if (license === "Apache-2.0")
    return [...start, what, ...(notice === undefined ? [] : [` .\n${indented(notice)}`])].join("\n");
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
 * @param notices that stand in the code itself
 * @throws Error that names a package whose licence is not to be found
 */
export function copyright(root, directories, notices) {
  const ours = readFileSync(join(root, "LICENSE"), "utf8");
  const holder = ours.match(/^Copyright .*/m)[0];
  const mit = ours.slice(ours.indexOf("Permission is hereby"));
  const packages = directories.toSorted().map((directory) => licenceOf(root, directory));
  return [
    [
      "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
      "Comment: The paths are those of the source tree after its dependencies were installed. The packages in",
      " node_modules are bundled in /usr/lib/tunctl/*.cjs, and nan in the compiled ciphers. In their code stand",
      " also these notices.",
      " .",
      indented(notices),
    ].join("\n"),
    `Files: *\nCopyright: ${holder.replace("Copyright ", "")}\nLicense: MIT`,
    ...packages.map(paragraph),
    `License: MIT\n${indented(mit)}`,
    APACHE,
  ]
    .join("\n\n")
    .concat("\n");
}
