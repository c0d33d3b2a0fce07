// What the documents name is there: their links, and the tests that hold what they say.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

const inRoot = readdirSync(".").filter((name) => name.endsWith(".md"));
const inDocs = readdirSync("docs").filter((name) => name.endsWith(".md"));
const testsIn = (text: string): string[] =>
  [...text.matchAll(/`(test\/[\w./-]+\.test\.ts)`/g)].map(([, name = ""]) => name);

const documents = [...inRoot, ...inDocs.map((name) => join("docs", name))];

describe.each(documents)("%s", (path) => {
  const text = readFileSync(path, "utf8");

  it("links to what is there", () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = ""]) => to.replace(/#.*/, ""));
    const files = links.filter((to) => to !== "" && !/^[a-z]+:/.test(to));
    expect(files.filter((to) => !existsSync(join(dirname(path), to)))).toEqual([]);
  });

  it("names tests that are there", () => {
    expect(testsIn(text).filter((name) => !existsSync(name))).toEqual([]);
  });
});

it("docs/security.md says of what it promises which test holds it", () => {
  expect(testsIn(readFileSync(join("docs", "security.md"), "utf8")).length).toBeGreaterThan(15);
});
