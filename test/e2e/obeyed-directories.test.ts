// The state directory is as good as code: nobody else has made it, can write in it, or can put another in its place.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { startInBackground } from "../support/background.ts";
import { eventually } from "../support/eventually.ts";
import { Place } from "../support/obeyed.ts";
import { run } from "../support/run.ts";
import { as, directoryOf, startAsUs, THEM, US, whyNoUsers } from "../support/users.ts";

const whyNot = whyNoUsers();
if (whyNot !== undefined) console.log(`skipped: directories of other users, since ${whyNot}`);

let place: Place;
beforeEach(async () => {
  if (whyNot === undefined) place = await Place.make();
});
const at = (path: string): string => place.at(path);

const rule = "the state directory has to be its user's alone (mode 0700)";
const elsewhere = "set TUND_STATE_DIR to a path in a directory of your own";
const theirs = (path: string, uid = THEM) => `${at(path)} belongs to uid ${uid}, and this is uid ${US}`;

describe.skipIf(whyNot !== undefined)("A state directory", () => {
  it.each<[string, () => string, () => string]>([
    [
      "of another user",
      () => place.fill(directoryOf(THEM, at("state"), 0o755), { uid: THEM, mode: 0o644 }),
      () => theirs("state"),
    ],
    ["of root's", () => place.fill(directoryOf(0, at("state"), 0o755)), () => theirs("state", 0)],
    [
      "that another user's link leads to",
      () => {
        place.fill(directoryOf(US, at("state")));
        directoryOf(0, at("shared"), 0o1777);
        symlinkSync(at("state"), at("shared/link"));
        spawnSync("chown", ["-h", `${THEM}`, at("shared/link")]);
        return at("shared/link");
      },
      () => theirs("shared/link"),
    ],
    [
      "below one of another user",
      () => {
        directoryOf(THEM, at("theirs"), 0o755);
        return place.fill(directoryOf(US, at("theirs/state")));
      },
      () => theirs("theirs"),
    ],
    [
      "that our own link leads to, below one of another user",
      () => {
        directoryOf(THEM, at("theirs"), 0o755);
        place.fill(directoryOf(US, at("theirs/state")));
        symlinkSync("../theirs/state", at("ours/link"));
        return at("ours/link");
      },
      () => theirs("theirs"),
    ],
    [
      "that is a file",
      () => {
        writeFileSync(at("state"), "");
        return at("state");
      },
      () => `${at("state")} is no directory`,
    ],
    [
      "that a loop of links leads to",
      () => {
        symlinkSync("loop", at("loop"));
        return at("loop");
      },
      () => `${at("loop")} is a loop of symbolic links`,
    ],
  ])("%s is refused", async (_, prepare, why) => {
    const line = await place.refusal({ TUND_STATE_DIR: prepare() });
    expect(line).toBe(`tund: ${why()}: ${rule}: ${elsewhere}`);
  });

  it.each<[string, () => string, () => [string, string]]>([
    [
      "in which everybody can write",
      () => place.fill(directoryOf(US, at("state"), 0o777)),
      () => [`others may write in ${at("state")} (mode 0777)`, `chmod 700 ${at("state")}`],
    ],
    [
      "into which others can look",
      () => place.fill(directoryOf(US, at("state"), 0o755)),
      () => [`${at("state")} has mode 0755`, `chmod 700 ${at("state")}`],
    ],
    [
      "with a name that a shell takes for more",
      () => place.fill(directoryOf(US, at("it's; exit 1"), 0o750)),
      () => [`${at("it's; exit 1")} has mode 0750`, `chmod 700 '${place.base}/it'\\''s; exit 1'`],
    ],
    [
      "below one of ours in which everybody can write",
      () => place.fill(directoryOf(US, join(directoryOf(US, at("open"), 0o777), "state"))),
      () => [`others may write in ${at("open")} (mode 0777)`, `chmod go-w ${at("open")}`],
    ],
    [
      "below one of root's in which everybody can write, and that is no mount",
      () => place.fill(directoryOf(US, join(directoryOf(0, at("open"), 0o777), "state"))),
      () => [`others may write in ${at("open")} (mode 0777)`, `chmod go-w ${at("open")}`],
    ],
    [
      "below one in which another group can write",
      () => place.fill(directoryOf(US, join(directoryOf(US, at("open"), 0o775, THEM), "state"))),
      () => [`others may write in ${at("open")} (mode 0775)`, `chmod go-w ${at("open")}`],
    ],
    [
      "that an umask of 002 has made, as all that is above it",
      () => {
        for (const path of ["local", "local/state"]) directoryOf(US, at(path), 0o775);
        return place.fill(directoryOf(US, at("local/state/tund"), 0o775));
      },
      () => {
        const above = [at("local"), at("local/state")];
        const open = above.map((path) => `${path} (mode 0775)`).join(" and ");
        const own = at("local/state/tund");
        return [
          `others may write in ${open}, and others may write in ${own} (mode 0775)`,
          `chmod go-w ${above.join(" ")} && chmod 700 ${own}`,
        ];
      },
    ],
    [
      "that a link of ours leads to which others can move",
      () => {
        place.fill(directoryOf(US, at("state")));
        symlinkSync(at("state"), join(directoryOf(0, at("open"), 0o777), "link"));
        return at("open/link");
      },
      () => [`others may write in ${at("open")} (mode 0777)`, `chmod go-w ${at("open")}`],
    ],
  ])("%s is refused until what the line says is done", async (_, prepare, expected) => {
    const directory = prepare();
    const [why, command] = expected();
    const line = await place.refusal({ TUND_STATE_DIR: directory });
    expect(line).toBe(`tund: ${why}: ${rule}: ${command}, or ${elsewhere}`);
    expect(spawnSync("sh", ["-c", command]).status).toBe(0);
    await startAsUs(place.base, { TUND_STATE_DIR: directory });
    await eventually(() => place.hasRun);
  });

  it.each<[string, () => string]>([
    [
      "in a sticky directory",
      () => place.fill(directoryOf(US, join(directoryOf(0, at("tmp"), 0o1777), "state"))),
    ],
    [
      "in one of root's group, as containers give to any uid",
      () => place.fill(directoryOf(US, join(directoryOf(0, at("app"), 0o775), "state"))),
    ],
    [
      "that root's link leads to, as to a private one of systemd's",
      () => {
        directoryOf(0, at("lib"), 0o755);
        place.fill(directoryOf(US, join(directoryOf(0, at("lib/private"), 0o711), "tund")));
        symlinkSync("private/tund", at("lib/tund"));
        return at("lib/tund");
      },
    ],
    [
      "with .. in its name",
      () => {
        place.fill(directoryOf(US, at("state")));
        directoryOf(US, at("ours/below"));
        symlinkSync(at("ours/below"), at("ours/link"));
        return `${at("ours/link")}/../../state`;
      },
    ],
  ])("%s is obeyed", async (_, prepare) => {
    await startAsUs(place.base, { TUND_STATE_DIR: prepare() });
    await eventually(() => expect(place.hasRun).toBe(true));
  });

  it("with .. behind a link is the one that the text names, and no other is used than was judged", async () => {
    directoryOf(US, at("open"), 0o777);
    place.fill(directoryOf(US, at("open/state")));
    symlinkSync(directoryOf(US, at("open/below")), at("ours/link"));
    await startAsUs(place.base, { TUND_STATE_DIR: `${at("ours/link")}/../state` });
    await eventually(() => expect(existsSync(at("ours/state/lock"))).toBe(true));
    expect(place.hasRun).toBe(false);
  });

  it("that is missing is made, for its user alone, with what is missing above it", async () => {
    directoryOf(0, at("tmp"), 0o1777);
    await startAsUs(place.base, { TUND_STATE_DIR: at("tmp/a/b/state") });
    for (const path of ["tmp/a", "tmp/a/b", "tmp/a/b/state"])
      expect(statSync(at(path))).toMatchObject({ uid: US, mode: 0o40700 });
  });

  it("below a mount of root's in which everybody can write is obeyed, and the log says what others can do", async () => {
    mkdirSync(at("mount"));
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "mode=777", "tmpfs", at("mount")]).status !== 0) {
      console.log("skipped: a mount in which everybody can write, since none can be made here");
      return;
    }
    onTestFinished(() => void spawnSync("umount", ["-l", at("mount")]));
    const tund = await startAsUs(place.base, { TUND_STATE_DIR: at("mount/state") });
    expect(statSync(at("mount/state"))).toMatchObject({ uid: US, mode: 0o40700 });
    const open = `others may write in ${at("mount")} (mode 0777)`;
    expect(tund.log()).toContain(
      `the state directory: ${open}: they can take ${at("mount/state")} away, and not write in it`,
    );
    await tund.stop();
    // What another has put there is theirs, and a link might lead anywhere.
    spawnSync("mv", [at("mount/state"), at("mount/taken")]);
    directoryOf(THEM, at("mount/state"), 0o755);
    expect(await place.refusal({ TUND_STATE_DIR: at("mount/state") })).toBe(
      `tund: ${theirs("mount/state")}: ${rule}: ${elsewhere}`,
    );
    const line = `tund: ${open}: ${rule}: chmod go-w ${at("mount")}, or ${elsewhere}`;
    spawnSync("rm", ["-r", at("mount/state")]);
    symlinkSync(at("mount/taken"), at("mount/state"));
    expect(await place.refusal({ TUND_STATE_DIR: at("mount/state") })).toBe(line);
  });

  it.each([
    ["in which we are root", ["--map-root-user"]],
    ["in which root has no number", [`--map-user=${THEM}`, `--map-group=${THEM}`]],
  ])("in a user namespace %s is obeyed, but for one in which others can write", async (_, map) => {
    const within = [...as(US).slice(1), "unshare", "--user", ...map];
    if (spawnSync("setpriv", [...within, "true"]).status !== 0) {
      console.log("skipped: user namespaces, since another user can make none here");
      return;
    }
    const program = [...within, process.execPath, "dist/tund.cjs"];
    const env = (directory: string) => ({
      PATH: process.env["PATH"],
      ...place.env({ TUND_STATE_DIR: directory, XDG_RUNTIME_DIR: at("ours") }),
    });
    place.fill(directoryOf(US, at("state")));
    const tund = await startInBackground("setpriv", program, { env: env(at("state")), cwd: "." });
    onTestFinished(async () => (tund.kill("SIGTERM"), void (await tund.end)));
    await eventually(() => expect(place.hasRun).toBe(true));
    const open = place.fill(directoryOf(US, join(directoryOf(US, at("open"), 0o777), "state")));
    const refused = await run("setpriv", program, { env: { ...env(open), TUND_SOCKET: at("ours/b/s") } });
    expect(refused).toMatchObject({
      code: 1,
      stderr: `tund: others may write in ${at("open")} (mode 0777): ${rule}: chmod go-w ${at("open")}, or ${elsewhere}\n`,
    });
  });
});
