// What no file of the programs may do with the file system: beside architecture.test.ts, which has the rooms and the arrows.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

/** Every file of the programs, without the lines that are comments. */
const sources = ["daemon", "cli", "shared"].flatMap((room) =>
  readdirSync(room, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(room, name))
    .map((file) => ({ file, code: readFileSync(file, "utf8").replaceAll(/^\s*(\/\/|\/?\*).*$/gm, "") })),
);
const thatHave = (what: RegExp): string[] =>
  sources.flatMap(({ file, code }) => (what.test(code) ? [file] : []));

it("makes directories in one place, never by Node's recursive mkdir(), which may not end", () => {
  expect(sources.length).toBeGreaterThan(200);
  expect(thatHave(/\bmkdir(Sync)?\(/)).toEqual(["shared/make-directory.ts"]);
  expect(thatHave(/\bmkdir\b[^;]*\brecursive\b/)).toEqual([]);
});

it("changes modes by descriptor alone", () => {
  // Of sockets, which cannot be opened otherwise than as a path.
  expect(thatHave(/(?<!\.)\bl?chmod(Sync)?\(/)).toEqual(["daemon/unix-socket.ts"]);
});
