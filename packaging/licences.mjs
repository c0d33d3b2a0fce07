// Whose code a package is, and under which licence: read from where npm has installed it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const isCopyright = (line) => /^\s*(©|Copyright\b)(?! (License|notice|holder|owner|\[))/i.test(line);

/**
 * Reads it.
 * @param root the project's directory
 * @param directory of an npm package in it
 * @returns its name, version and licence (SPDX); `text` of the licence and `notice` (Apache-2.0, section 4d) where it has them; the
 * lines that say `by` whom it is
 * @throws Error when it names no licence
 */
export function licenceOf(root, directory) {
  const at = join(root, directory);
  const { name, version, author, ...more } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"));
  const license = more.license ?? more.licenses?.[0].type;
  if (typeof license !== "string") throw new Error(`${directory}/package.json names no licence`);
  const contentOf = (pattern) => {
    const file = readdirSync(at).find((entry) => pattern.test(entry));
    return file && readFileSync(join(at, file), "utf8");
  };
  const text = contentOf(/^(licen[cs]e|copying)(\.(md|txt))?$/i);
  const holders = text?.split("\n").filter(isCopyright);
  const authors = typeof author === "string" ? author : (author?.name ?? `the authors of ${name}`);
  const by = holders?.length > 0 ? holders.map((line) => line.trim()) : [authors];
  return { name, version, license, text, notice: contentOf(/^notice(\.(md|txt))?$/i), by, directory };
}
