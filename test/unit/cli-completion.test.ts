// What can stand at the cursor, against canned answers: `tunctl __complete N WORD...`.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { verbs } from "../../cli/verbs.ts";
import { cannedDaemon } from "../support/canned-daemon.ts";
import { forward, master } from "../support/records.ts";
import { tempDir } from "../support/temp-dir.ts";

const another = { ...forward, id: "q3xn", name: "web", host: "box", spec: "8080:intranet:80" };
const answers = {
  "GET /v1/masters": { masters: [master, { ...master, host: "box", names: ["box", "bad\nname"] }] },
  "GET /v1/forwards": {
    forwards: [forward, another, { ...another, id: "d1", name: null, kind: "dynamic", spec: "1080" }],
  },
};

/** The words that can stand in place of the last one of a line. */
async function offered(line: string, home = "/nonexistent"): Promise<string[]> {
  const words = line.split(" ").slice(1);
  const { tunctl } = await cannedDaemon({ answers });
  const { code, out, err } = await tunctl(["__complete", String(words.length - 1), ...words], { home });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const [kind, ...lines] = out.trimEnd().split("\n");
  return kind === "files" ? ["files"] : lines.map((one) => one.split("\t")[0] ?? "");
}

const records = ["db", "alice@db.internal", "box", "f7k2", "web", "q3xn", "d1"];

describe("completion", () => {
  it.each([
    ["tunctl ", verbs.map(({ name }) => name)],
    ["tunctl --json -q ", verbs.map(({ name }) => name)],
    ["tunctl help ", verbs.map(({ name }) => name)],
    ["tunctl completion ", ["bash", "zsh", "fish"]],
    ["tunctl exit ", ["db", "alice@db.internal", "box"]],
    ["tunctl cancel ", records],
    ["tunctl cancel f7k2 ", records.filter((word) => word !== "f7k2")],
    ["tunctl cancel -L ", ["5432:localhost:5432", "8080:intranet:80"]],
    ["tunctl cancel -L8", ["-L5432:localhost:5432", "-L8080:intranet:80"]],
    ["tunctl cancel -qL8", ["-qL5432:localhost:5432", "-qL8080:intranet:80"]],
    ["tunctl cancel -L 8080 -D ", ["1080"]],
    ["tunctl cancel db -L ", ["5432:localhost:5432"]],
    ["tunctl cancel alice@db.internal -L ", ["5432:localhost:5432"]],
    ["tunctl -O cancel -L ", ["5432:localhost:5432", "8080:intranet:80"]],
    ["tunctl -O forward -L ", []],
    ["tunctl -O ", ["check", "forward", "cancel", "stop", "exit"]],
    ["tunctl -qO ", ["check", "forward", "cancel", "stop", "exit"]],
    ["tunctl -M -S ", ["files"]],
    ["tunctl -W x:1 ", ["db", "alice@db.internal", "box"]],
    ["tunctl forward -L ", []],
    ["tunctl forward -L 1:a:2 ", ["db", "alice@db.internal", "box"]],
    ["tunctl connect -J db,", ["db,db", "db,alice@db.internal", "db,box"]],
    ["tunctl connect -F ", ["files"]],
    ["tunctl connect --socket=/", ["files"]],
    ["tunctl stdio ", []],
    ["tunctl stdio a:1 ", ["db", "alice@db.internal", "box"]],
    ["tunctl list -- ", ["db", "alice@db.internal", "box"]],
    ["tunctl frobnicate ", []],
  ])("of '%s'", async (line, words) => {
    expect(await offered(line)).toEqual(words);
  });

  it("offers options where no other word can stand", async () => {
    for (const line of ["tunctl forward -L 1:a:2 db ", "tunctl forward -"])
      expect(await offered(line)).toContain("--ephemeral");
  });

  it("offers a flag once, and an option that takes a value again", async () => {
    const found = await offered("tunctl forward --ephemeral -4 -L 1:a:2 -");
    for (const word of ["-L", "--name", "-6", "--json"]) expect(found).toContain(word);
    for (const word of ["--ephemeral", "-4"]) expect(found).not.toContain(word);
  });

  it("offers every option of every verb", async () => {
    for (const { name, options } of verbs) {
      const found = await offered(`tunctl ${name} -`);
      for (const { short, long } of options)
        expect(found).toEqual(
          expect.arrayContaining(
            [short && `-${short}`, long && `--${long}`].filter((word) => word !== undefined),
          ),
        );
    }
  });

  it("knows the hosts of ssh_config, by Include too, however the files are spelled", async () => {
    const home = await tempDir();
    onTestFinished(() => home.remove());
    const at = (name: string) => join(home.path, ".ssh", name);
    await mkdir(at("d"), { recursive: true });
    await writeFile(
      at("config"),
      "HOST one two *.x t?o !three -o # four\nInclude d/*.conf ~/.ssh/loop missing\n",
    );
    await writeFile(at("d/a.conf"), 'host="five six"\nHostName none\n\tHost seven\n');
    await writeFile(at("d/.hidden.conf"), "Host hidden\n");
    await writeFile(at("d/other"), "Host other\n");
    await writeFile(at("loop"), "Include loop\nHost eight db\n");
    const found = await offered("tunctl connect ", home.path);
    expect(found).toEqual(["db", "alice@db.internal", "box", "one", "two", "five six", "seven", "eight"]);
    expect(await offered(`tunctl connect -F ${at("d/other")} `, home.path)).toContain("other");
    expect(await offered("tunctl connect -F ~/.ssh/d/other ", home.path)).toContain("other");
  });
});
