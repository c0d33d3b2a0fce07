import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { namesOf, type Option } from "../../cli/args.ts";
import { connectionOptions } from "../../cli/connection-options.ts";
import { controlOptions } from "../../cli/dash-o.ts";
import { masterOptions } from "../../cli/dash-m.ts";
import { forwardOptions } from "../../cli/forward-options.ts";
import { globalOptions, version } from "../../cli/global-options.ts";
import { exitCodes, sshSpellings } from "../../cli/help-text.ts";
import { verbs } from "../../cli/verbs.ts";
import { variables } from "../../daemon/settings.ts";
import { describeWith, isThere } from "../programs/program.ts";
import { run } from "../support/run.ts";
import { tempDir } from "../support/temp-dir.ts";

const pages = ["dist/man/tunctl.1", "dist/man/tund.8"];

/** A page's text without its roff, every run of blanks one. */
const textOf = (roff: string): string =>
  roff
    .replaceAll(/\\f[BIR]|\\&/g, "")
    .replaceAll(/\\\((aq|ti|ha|ga)/g, (_, name: string) => ({ aq: "'", ti: "~", ha: "^" })[name] ?? "`")
    .replaceAll(String.raw`\-`, "-")
    .replaceAll(String.raw`\e`, "\\")
    .replaceAll(/\s+/g, " ");

/** Words alone: neither requests, nor how commands are marked or continued, nor where lines end. */
const wordsOf = (text: string): string =>
  textOf(text.replaceAll(/^\.[A-Z]+.*$|^\.[a-z]{2}$| \\e$/gm, ""))
    .replaceAll("'", "")
    .trim();

/** The parts of a page under headings of a level, by their titles. */
const sectionsOf = (roff: string, macro: ".SH" | ".SS"): Map<string, string> =>
  new Map(
    roff
      .split(new RegExp(`^\\${macro} `, "m"))
      .slice(1)
      .map((part) => {
        const title = part.slice(0, part.indexOf("\n"));
        return [textOf(title).replaceAll('"', ""), part.slice(title.length)];
      }),
  );

const termOf = (option: Option): string =>
  [namesOf(option).join(", "), option.value].filter((part) => part !== undefined).join(" ");

/** Whether a section has the option as a term, with what it means. */
function expectOptions(section: string | undefined, options: readonly Option[]): void {
  const items = (section ?? "").split("\n.TP\n").slice(1);
  for (const option of options) {
    const item = items.find((one) => textOf(one.slice(0, one.indexOf("\n"))) === termOf(option));
    expect(item === undefined ? undefined : wordsOf(item), termOf(option)).toContain(wordsOf(option.help));
  }
}

describe("tunctl(1)", () => {
  let sections: Map<string, string>;
  let ofVerbs: Map<string, string>;
  beforeAll(() => {
    sections = sectionsOf(readFileSync("dist/man/tunctl.1", "utf8"), ".SH");
    ofVerbs = sectionsOf(sections.get("VERBS") ?? "", ".SS");
  });

  it.each(verbs.map((verb) => [verb.name, verb] as const))("has all that help has: %s", (name, verb) => {
    const section = ofVerbs.get(name) ?? "";
    const words = wordsOf(section);
    expect(words).toContain(wordsOf(`tunctl ${name} ${verb.usage}`));
    expect(words.toLowerCase()).toContain(wordsOf(verb.summary).toLowerCase());
    for (const block of verb.help.split("\n\n")) expect(words).toContain(wordsOf(block));
    expectOptions(
      section,
      verb.options.filter((option) => !connectionOptions.includes(option)),
    );
    const mayConnect = connectionOptions.every((option) => verb.options.includes(option));
    expect(words.includes("takes the connection options")).toBe(mayConnect);
  });

  it("has no verb that there is not", () => {
    expect([...ofVerbs.keys()]).toEqual(verbs.map(({ name }) => name));
  });

  it("has the options of all verbs, of connections and of ssh's spelling", () => {
    expectOptions(sections.get("OPTIONS"), [...globalOptions, version]);
    expectOptions(sections.get("CONNECTION OPTIONS"), connectionOptions);
    const elsewhere = new Set([...connectionOptions, ...forwardOptions]);
    const spelling = sections.get("IN SSH'S SPELLING");
    expectOptions(
      spelling,
      [...controlOptions, ...masterOptions].filter((option) => !elsewhere.has(option)),
    );
    for (const { usage } of sshSpellings) expect(textOf(spelling ?? "")).toContain(`tunctl ${usage}`);
  });

  it("has every exit code", () => {
    const text = textOf(sections.get("EXIT STATUS") ?? "");
    for (const [code, meaning] of exitCodes) expect(text).toContain(`.TP ${code} ${meaning}.`);
  });
});

describe("tund(8)", () => {
  it("has every setting once, as --help has it", async () => {
    const settings = sectionsOf(readFileSync("dist/man/tund.8", "utf8"), ".SH").get("SETTINGS") ?? "";
    const help = (await run(process.execPath, ["dist/tund.cjs", "--help"])).stdout;
    expect(variables.length).toBeGreaterThan(10);
    for (const { name, means } of variables) {
      expect(means).not.toBe("");
      expect(wordsOf(help)).toContain(`${name} ${means}`);
      expect(textOf(settings)).toContain(`.TP ${name} ${means}.`);
      expect(settings.split(name.replaceAll("-", String.raw`\-`)).length - 1).toBe(1);
    }
  });
});

describe("the man pages", () => {
  it("are in the package", () => {
    const { man } = JSON.parse(readFileSync("package.json", "utf8")) as Record<string, string[]>;
    expect(man).toEqual(pages);
  });

  it("are the same whenever they are built; SOURCE_DATE_EPOCH dates them", async () => {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    const built = async (epoch: string | undefined) => {
      const args = ["scripts/run-ts.mjs", "scripts/man.ts", directory.path];
      const env = { ...process.env, SOURCE_DATE_EPOCH: epoch };
      expect(await run(process.execPath, args, { env })).toMatchObject({ code: 0 });
      return pages.map((page) => readFileSync(join(directory.path, page.slice("dist/man/".length)), "utf8"));
    };
    const ours = process.env["SOURCE_DATE_EPOCH"];
    expect(await built(ours)).toEqual(pages.map((page) => readFileSync(page, "utf8")));
    for (const page of await built("86400")) expect(page.split("\n")[0]).toContain('"1970-01-02"');
  });
});

describeWith({ man: isThere("man"), lexgrog: isThere("lexgrog") })("man-db", () => {
  it.each(pages)("finds nothing wrong in %s", async (page) => {
    const env = { ...process.env, MANWIDTH: "80", LC_ALL: "C.UTF-8", MANROFFSEQ: "" };
    const { code, stdout, stderr } = await run("man", ["--warnings=w", "-E", "UTF-8", "-l", page], { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    // What is shown fits a terminal.
    const shown = stdout.replaceAll(/.\u0008|\u001b\[[0-9;]*m/g, "");
    expect(shown.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect((await run("lexgrog", [page])).stdout).toMatch(/: "(tunctl|tund) - [a-z].*"$/m);
  });
});

describeWith({ mandoc: isThere("mandoc") })("mandoc", () => {
  it.each(pages)("finds nothing wrong in %s", async (page) => {
    const { stdout } = await run("mandoc", ["-T", "lint", page]);
    // Before the first release there is no date that would not vary.
    const isReleased = /^## .*\d{4}-\d\d-\d\d/m.test(readFileSync("CHANGELOG.md", "utf8"));
    const found = stdout
      .split("\n")
      .filter((line) => line !== "" && (isReleased || !line.includes("missing date")));
    expect(found).toEqual([]);
  });
});
