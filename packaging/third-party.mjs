// The licences of all that is in the programs and not ours, word for word: what goes along with npm's package.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { licenceOf } from "./licences.mjs";

const RULE = "-".repeat(72);

/**
 * Writes the text.
 * @param root the project's directory
 * @param directories of npm packages in it
 * @param inTheCode notices that stand in the code itself
 * @throws Error that names a package whose licence is not to be found
 */
export function thirdParty(root, directories, inTheCode) {
  const ours = readFileSync(join(root, "LICENSE"), "utf8");
  const mit = ours.slice(ours.indexOf("Permission is hereby"));
  const packages = directories.map((directory) => licenceOf(root, directory));
  return [
    "tunctl is under the licence in LICENSE. Its programs hold code of these packages, each under its own.",
    packages.map(({ name, version, license }) => `${name} ${version} (${license})`).join("\n"),
    ...packages.map((one) => [RULE, `${one.name} ${one.version}`, textOf(one, mit)].join("\n\n")),
    `${RULE}\n\nNotices that stand in the code\n\n${inTheCode.trim()}`,
  ]
    .join("\n\n")
    .concat("\n");
}

function textOf({ name, license, text, notice, by }, mit) {
  if (text !== undefined) return [text.trim(), ...(notice === undefined ? [] : [notice.trim()])].join("\n\n");
  if (license !== "MIT") throw new Error(`${name} has no file with its licence`);
  return `Its package.json says MIT, and no text is with it. Copyright: ${by.join(", ")}\n\n${mit.trim()}`;
}
