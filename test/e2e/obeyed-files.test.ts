// What lies in the state directory is obeyed only if nobody else can have written it.
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, lstatSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { Place } from "../support/obeyed.ts";
import { directoryOf, runAs, startAsUs, THEM, US, whyNoUsers } from "../support/users.ts";

const whyNot = whyNoUsers();
if (whyNot !== undefined) console.log(`skipped: files of other users, since ${whyNot}`);

let place: Place;
beforeEach(async () => {
  if (whyNot !== undefined) return;
  place = await Place.make();
  directoryOf(US, at("state"));
});
const at = (path: string): string => place.at(path);

describe.skipIf(whyNot !== undefined)("state.json", () => {
  it.each<[string, () => unknown, string]>([
    [
      "to which everybody can write",
      () => place.fill(at("state"), { mode: 0o666 }),
      "others may write to FILE (mode 0666), and is not obeyed: move it away (mv FILE FILE.aside), or chmod 600 FILE if all that it says is yours",
    ],
    [
      "to which a group can write",
      () => place.fill(at("state"), { mode: 0o620 }),
      "others may write to FILE (mode 0620), and is not obeyed: move it away (mv FILE FILE.aside), or chmod 600 FILE if all that it says is yours",
    ],
    [
      "of another user",
      () => place.fill(at("state"), { uid: THEM, mode: 0o644 }),
      `FILE belongs to uid ${THEM}, and this is uid ${US}, and is not obeyed: move it away (mv FILE FILE.aside)`,
    ],
    [
      "that is a link, though to a file of ours",
      () => {
        place.fill(at("ours"));
        symlinkSync(at("ours/state.json"), at("state/state.json"));
      },
      "FILE is a symbolic link, and is not obeyed: move it away (mv FILE FILE.aside)",
    ],
    [
      "that is a FIFO",
      () => spawnSync("sh", ["-c", 'mkfifo "$0"; chown "$1" "$0"', at("state/state.json"), String(US)]),
      "FILE is no regular file, and is not obeyed: move it away (mv FILE FILE.aside)",
    ],
    [
      "that is a directory",
      () => directoryOf(US, at("state/state.json")),
      "FILE is no regular file, and is not obeyed: move it away (mv FILE FILE.aside)",
    ],
  ])("%s is refused until it is moved away", async (_, prepare, line) => {
    prepare();
    const said = await place.refusal({ TUND_STATE_DIR: at("state") });
    expect(said).toBe(`tund: ${line.replaceAll("FILE", at("state/state.json"))}`);
    const [, command = ""] = /\((mv .*?)\)/.exec(said) ?? [];
    expect(spawnSync("sh", ["-c", command]).status).toBe(0);
    await startAsUs(place.base, { TUND_STATE_DIR: at("state") });
    expect(place.hasRun).toBe(false);
  });

  it("that others can only read is set to 0600, which is said, and obeyed", async () => {
    place.fill(at("state"), { mode: 0o644 });
    const tund = await startAsUs(place.base, { TUND_STATE_DIR: at("state") });
    await eventually(() => place.hasRun);
    expect(statSync(at("state/state.json")).mode & 0o777).toBe(0o600);
    expect(tund.log()).toContain(`others could read ${at("state/state.json")} (mode 0644): it is 0600 now`);
  });

  it("is not written through a link that lies in the way of the next one", async () => {
    writeFileSync(at("ours/victim"), "mine");
    chownSync(at("ours/victim"), US, US);
    for (const name of [".state.json.new", ".state.json.new.before"])
      symlinkSync(at("ours/victim"), at(`state/${name}`));
    const tund = await startAsUs(place.base, { TUND_STATE_DIR: at("state") });
    const asked = ["tunctl", "forward", "--on-demand", "-L", `${at("ours/l.sock")}:a:80`, "h"];
    expect(await runAs(US, asked, place.env({ TUND_SOCKET: tund.socket }))).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect(lstatSync(at("state/state.json")).isFile()).toBe(true);
    expect(readFileSync(at("ours/victim"), "utf8")).toBe("mine");
  });
});

it.skipIf(whyNot !== undefined).each<[string, (file: string) => void]>([
  ["to which others can write", (file) => chmodSync(file, 0o666)],
  ["of another user", (file) => (chownSync(file, THEM, THEM), chmodSync(file, 0o644))],
])("Whose turn tund ended in is not taken from a file %s", async (_, spoil) => {
  place.fill(at("state"));
  const file = at("state/ended-by.jsonl");
  const end = JSON.stringify({ at: Date.now(), hosts: ["h"] });
  writeFileSync(file, `${end}\n${end}\n`);
  chownSync(file, US, US);
  spoil(file);
  const tund = await startAsUs(place.base, { TUND_STATE_DIR: at("state") });
  // As it says, the host would be left alone.
  await eventually(() => place.hasRun);
  expect(tund.log()).toContain(`${file} cannot be read, and is left alone`);
});
