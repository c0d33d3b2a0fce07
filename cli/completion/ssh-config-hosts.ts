// The names that ssh_config(5) has for hosts. A light reading: it is to be quick, and `ssh -G` lists none.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

const DEEPEST = 16; // READCONF_MAX_DEPTH

/**
 * The aliases of a configuration and of the files that it includes: those of `Host` without wildcards. What cannot be
 * read has none.
 * @param home where `~` is, and `.ssh`, from which Include goes
 */
export const hostsIn = (file: string, home: string): string[] => [...new Set(hostsBelow(file, home, 0))];

function hostsBelow(file: string, home: string, depth: number): string[] {
  if (depth > DEEPEST) return [];
  return linesOf(file).flatMap((line) => {
    const [, keyword = "", rest = ""] = /^\s*(\w+)(?:\s*=\s*|\s+)(.*)$/.exec(line) ?? [];
    switch (keyword.toLowerCase()) {
      case "host":
        return wordsOf(rest).filter((word) => !/[*?!]|^-/.test(word));
      case "include":
        return wordsOf(rest)
          .flatMap((path) => filesLike(path, home))
          .flatMap((path) => hostsBelow(path, home, depth + 1));
      default:
        return [];
    }
  });
}

const wordsOf = (text: string): string[] => {
  const words = [...text.matchAll(/"([^"]*)"|([^\s"]+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
  const comment = words.findIndex((word) => word.startsWith("#"));
  return comment === -1 ? words : words.slice(0, comment);
};

function linesOf(file: string): string[] {
  try {
    // Not a pipe, which nobody may ever write to.
    return statSync(file).isFile() ? readFileSync(file, "utf8").split("\n") : [];
  } catch {
    return [];
  }
}

/** A path that Include names; wildcards are looked for in its last part alone (`config.d/*`). */
function filesLike(path: string, home: string): string[] {
  const whole = path.startsWith("~/") ? join(home, path.slice(2)) : resolve(home, ".ssh", path);
  const [directory, name] = [dirname(whole), basename(whole)];
  if (!/[*?]/.test(name)) return [whole];
  const parts = name.split(/([*?])/).map((part) => ({ "*": ".*", "?": "." })[part] ?? literally(part));
  const pattern = new RegExp(`^(?!\\.)${parts.join("")}$`);
  try {
    return readdirSync(directory)
      .filter((one) => pattern.test(one))
      .sort()
      .map((one) => join(directory, one));
  } catch {
    return [];
  }
}

const literally = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
