import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { words } from "../../daemon/ssh/known-hosts-command.ts";

const isBlank = (c: string): boolean => c === " " || c === "\t";

const isTaken = (next: string, quote: string): boolean =>
  ["'", '"', "\\"].includes(next) || (quote === "" && next === " ");

/** argv_split() of OpenSSH's misc.c, letter by letter; null for a quote that is not closed. */
function argvSplit(s: string): string[] | null {
  const argv: string[] = [];
  for (let i = 0; i < s.length;) {
    if (isBlank(s[i] ?? "")) i++;
    else {
      const word = wordAt(s, i);
      if (word === null) return null;
      argv.push(word.arg);
      i = word.end;
    }
  }
  return argv;
}

function wordAt(s: string, start: number): { arg: string; end: number } | null {
  let [quote, arg] = ["", ""];
  let i = start;
  for (; i < s.length; i++) {
    const [c = "", next = ""] = [s[i], s[i + 1]];
    if (quote === "" && isBlank(c)) break;
    if (c === "\\" && isTaken(next, quote)) arg += s[++i];
    else if (quote === "" && (c === '"' || c === "'")) quote = c;
    else if (c === quote) quote = "";
    else arg += c;
  }
  return quote === "" ? { arg, end: i } : null;
}

const split = (command: string): string[] | null => {
  try {
    return words(command);
  } catch {
    return null;
  }
};

describe("a command's words", () => {
  it("are those of argv_split, for every command of up to seven characters that matter", () => {
    const letters = ["a", " ", "\t", "\\", "'", '"'];
    let commands = [""];
    const different: string[] = [];
    for (let length = 0; length < 7; length++) {
      different.push(
        ...commands.filter((one) => JSON.stringify(split(one)) !== JSON.stringify(argvSplit(one))),
      );
      commands = commands.flatMap((command) => letters.map((letter) => command + letter));
    }
    expect(different).toEqual([]);
  });

  it("are those of argv_split, for any other", () => {
    const unit = fc.constantFrom("a", "é", " ", "\t", "\\", "'", '"', "%h", "\n");
    const isSame = (command: string) => {
      expect(split(command)).toEqual(argvSplit(command));
    };
    fc.assert(fc.property(fc.string({ unit }), isSame), { numRuns: 2000 });
  });

  it("are told in one pass, where looking again would take longer than there is time", () => {
    const many = 50_000;
    expect(words("\\".repeat(2 * many))).toEqual(["\\".repeat(many)]);
    expect(split(`"${'\\"'.repeat(many)}`)).toBeNull();
    expect(split(`${"'\\'".repeat(many)}"`)).toEqual(argvSplit(`${"'\\'".repeat(many)}"`));
    expect(words('""'.repeat(many))).toEqual([""]);
  });
});
