// Where the control socket lies is our own, or it is not there: whatever sudo -E, su and others leave in the environment.
import { chmodSync, chownSync, existsSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { startInBackground } from "../support/background.ts";
import { eventually } from "../support/eventually.ts";
import { Place } from "../support/obeyed.ts";
import { as, directoryOf, runAs, THEM, US, whyNoUsers } from "../support/users.ts";

const whyNot = whyNoUsers();
if (whyNot !== undefined) console.log(`skipped: runtime directories of other users, since ${whyNot}`);

let place: Place;
beforeEach(async () => {
  if (whyNot === undefined) place = await Place.make();
});
const at = (path: string): string => place.at(path);
const modeOf = (path: string): string => (statSync(at(path)).mode & 0o7777).toString(8);

/** An environment that says nothing of the socket but this. */
const environment = (more: Readonly<Record<string, string>>): Record<string, string> => {
  const { TUND_SOCKET: _, ...rest } = place.env({ TUND_STATE_DIR: at("ours/state"), ...more });
  return rest;
};

/** Starts tund as a user, and waits until it is ready. Gives its log; it is stopped when the test is over. */
async function start(uid: number, env: Readonly<Record<string, string>>): Promise<string> {
  const program = [...as(uid).slice(1), process.execPath, "dist/tund.cjs"];
  const tund = await startInBackground("setpriv", program, {
    env: { PATH: process.env["PATH"], ...env },
    cwd: ".",
  });
  onTestFinished(async () => (tund.kill("SIGTERM"), void (await tund.end)));
  await eventually(() => expect(tund.log()).toContain("tund is ready"));
  return tund.log();
}

describe.skipIf(whyNot !== undefined)("A runtime directory", () => {
  it.each<[string, string, () => string, () => string]>([
    [
      "XDG_RUNTIME_DIR",
      "of another user",
      () => directoryOf(THEM, at("run")),
      () => `${at("run")} belongs to uid ${THEM}, and this is uid ${US}`,
    ],
    [
      "XDG_RUNTIME_DIR",
      "of root's",
      () => directoryOf(0, at("run"), 0o755),
      () => `${at("run")} belongs to uid 0, and this is uid ${US}`,
    ],
    [
      "XDG_RUNTIME_DIR",
      "in which others can write",
      () => directoryOf(US, at("run"), 0o777),
      () => `others may write in ${at("run")} (mode 0777)`,
    ],
    [
      "XDG_RUNTIME_DIR",
      "below one in which others can write",
      () => directoryOf(US, join(directoryOf(US, at("open"), 0o777), "run")),
      () => `others may write in ${at("open")} (mode 0777)`,
    ],
    [
      "RUNTIME_DIRECTORY",
      "of another user",
      () => directoryOf(THEM, at("run"), 0o755),
      () => `${at("run")} belongs to uid ${THEM}, and this is uid ${US}`,
    ],
  ])(
    "(%s) %s counts as unset for tund and for tunctl, and both say so in a line",
    async (name, _, make, why) => {
      const directory = make();
      const { mode } = statSync(directory);
      const env = environment({ [name]: directory });
      const log = await start(US, env);
      const line = `${name} is not used: ${why()}`;
      expect(log.split("\n").filter((one) => one.includes(line))).toHaveLength(1);
      const socket = at("ours/state/run/tund.sock");
      expect(log).toContain(`"socket":"${socket}"`);
      const asked = await runAs(US, ["tunctl", "status", "--json"], env);
      expect(asked).toMatchObject({ code: 0, stderr: `tunctl: warning: ${line}\n` });
      expect(JSON.parse(asked.stdout)).toMatchObject({ daemon: { socket } });
      expect(await runAs(US, ["tunctl", "-q", "status"], env)).toMatchObject({ code: 0, stderr: "" });
      const likeSsh = await runAs(US, ["tunctl", "-O", "check", "h"], env);
      expect(likeSsh.stderr.split("\r\n")[0]).toBe(`tund: ${line}`);
      expect({ mode: statSync(directory).mode, holds: readdirSync(directory) }).toEqual({ mode, holds: [] });
    },
  );

  it("that others can look into is used as it is: tund's own in it is closed to them", async () => {
    const env = environment({ XDG_RUNTIME_DIR: directoryOf(US, at("run"), 0o755) });
    expect(await start(US, env)).toContain(`"socket":"${at("run/tund/tund.sock")}"`);
    expect([modeOf("run"), modeOf("run/tund"), modeOf("run/tund/tund.sock")]).toEqual(["755", "700", "600"]);
    expect(await runAs(US, ["tunctl", "status"], env)).toMatchObject({ code: 0, stderr: "" });
  });

  it("of a user, in which a link leads to what is root's, is nothing to root's tund", async () => {
    directoryOf(0, at("etc"), 0o755);
    symlinkSync(at("etc"), join(directoryOf(US, at("run")), "tund"));
    const env = environment({ XDG_RUNTIME_DIR: at("run"), HOME: at("."), TUND_STATE_DIR: at("state") });
    expect(await start(0, env)).toContain(`"socket":"${at("state/run/tund.sock")}"`);
    expect({ mode: modeOf("etc"), holds: readdirSync(at("etc")) }).toEqual({ mode: "755", holds: [] });
  });

  it("with a link in it that leads to a directory of another kind is refused, and not changed", async () => {
    symlinkSync(directoryOf(US, at("ours/documents"), 0o755), join(directoryOf(US, at("run")), "tund"));
    const { code, stderr } = await runAs(US, ["tund"], environment({ XDG_RUNTIME_DIR: at("run") }));
    expect(code).toBe(1);
    expect(stderr).toContain(`${at("ours/documents")} has mode 0755: the control socket needs`);
    expect(modeOf("ours/documents")).toBe("755");
  });
});

describe.skipIf(whyNot !== undefined)("TUND_SOCKET", () => {
  const rule = "the control socket needs a directory of its own (mode 0700)";
  const elsewhere = "set TUND_SOCKET to a path in a directory of your own";

  it.each<[string, () => string, () => string]>([
    [
      "in another user's directory",
      () => directoryOf(THEM, at("run"), 0o777),
      () => `${at("run")} belongs to uid ${THEM}, and this is uid ${US}: ${rule}: ${elsewhere}`,
    ],
    [
      "in a directory that others can look into",
      () => directoryOf(US, at("run"), 0o755),
      () => `${at("run")} has mode 0755: ${rule}: chmod 700 ${at("run")}, or ${elsewhere}`,
    ],
    [
      "in a sticky directory itself",
      () => directoryOf(0, at("run"), 0o1777),
      () => `${at("run")} belongs to uid 0, and this is uid ${US}: ${rule}: ${elsewhere}`,
    ],
    [
      "below a directory in which others can write",
      () => directoryOf(US, join(directoryOf(US, at("open"), 0o777), "run")),
      () =>
        `others may write in ${at("open")} (mode 0777): ${rule}: chmod go-w ${at("open")}, or ${elsewhere}`,
    ],
    [
      "in a directory whose name would make two lines",
      () => directoryOf(US, at("a\nb"), 0o755),
      () => `${at(String.raw`a b`)} has mode 0755: ${rule}: chmod 700 '${at("a b")}', or ${elsewhere}`,
    ],
  ])("%s is refused, never passed over, and nothing is changed", async (_, make, line) => {
    const directory = make();
    const env = { TUND_SOCKET: join(directory, "tund.sock"), TUND_STATE_DIR: at("ours/state") };
    expect(await place.refusal(env)).toBe(`tund: ${line()}`);
  });

  it.each([
    ["/etc", "0755"],
    ["/tmp", "1777"],
  ])(
    "of root's in a directory of the system's is refused, which stays as it is: %s",
    async (directory, mode) => {
      const env = {
        TUND_SOCKET: `${directory}/tund.sock`,
        TUND_STATE_DIR: at("ours/state"),
        HOME: at("ours"),
      };
      const { code, stderr } = await runAs(0, ["tund"], env);
      expect(code).toBe(1);
      const why =
        mode === "0755" ? `${directory} has mode ${mode}` : `others may write in ${directory} (mode ${mode})`;
      expect(stderr).toBe(`tund: ${why}: ${rule}: ${elsewhere}\n`);
      expect((statSync(directory).mode & 0o7777).toString(8)).toBe(mode.replace(/^0/, ""));
    },
  );
});

/** What tunctl's doctor says, by subject. */
async function doctor(env: Readonly<Record<string, string>>) {
  const { code, stdout, stderr } = await runAs(US, ["tunctl", "doctor", "--json"], env);
  const { findings } = JSON.parse(stdout) as { findings: Record<string, string | null>[] };
  return { code, stderr, of: (subject: string) => findings.filter((one) => one["subject"] === subject) };
}

describe.skipIf(whyNot !== undefined)("The doctor", () => {
  it("says what a start would refuse, and why, where no tund answers", async () => {
    place.fill(directoryOf(US, at("ours/state"), 0o755), { mode: 0o666 });
    const env = environment({ XDG_RUNTIME_DIR: directoryOf(THEM, at("run"), 0o755) });
    const { code, stderr, of } = await doctor(env);
    expect(code).toBe(3);
    expect(stderr).toContain("no daemon answers");
    expect(of("runtime")).toMatchObject([
      { level: "note", message: expect.stringContaining(at("run")) as string },
    ]);
    expect(of("socket")).toMatchObject([
      { level: "ok", message: expect.stringContaining("is made") as string },
    ]);
    const file = at("ours/state/state.json");
    const chmod = `chmod 700 ${at("ours/state")}`;
    expect(of("state")).toMatchObject([
      { level: "problem", next: expect.stringContaining(chmod) as string },
      {
        level: "problem",
        message: expect.stringContaining(`others may write to ${file} (mode 0666)`) as string,
        next: `move ${file} away, or chmod 600 ${file} if all that it says is yours`,
      },
    ]);
    // A start says the same of the first.
    const { stderr: said } = await runAs(US, ["tund"], env);
    expect(said).toContain(chmod);
  });

  it("says of a tund that runs what its next start would refuse", async () => {
    const env = environment({ XDG_RUNTIME_DIR: directoryOf(US, at("run")) });
    await start(US, env);
    expect((await doctor(env)).of("state")).toMatchObject([{ level: "ok" }]);
    chmodSync(at("ours/state"), 0o777);
    chmodSync(at("run/tund"), 0o755);
    writeFileSync(at("ours/state/state.json"), "");
    chownSync(at("ours/state/state.json"), THEM, THEM);
    const { code, of } = await doctor(env);
    expect(code).toBe(1);
    expect(of("socket")).toMatchObject([{ level: "problem" }]);
    expect(of("state")).toMatchObject([{ level: "problem" }, { level: "problem" }]);
  });
});

describe.skipIf(whyNot !== undefined)(
  "Where no directory can be made, though the one above is there,",
  () => {
    it.each<[string, Record<string, string>, RegExp]>([
      [
        "HOME",
        { HOME: "/proc" },
        /^tund: cannot make \/proc\/\S+ for the control socket: the directory \/proc\/\.local cannot be made: .*; set TUND_SOCKET, or HOME or TUND_STATE_DIR to a place of yours$/,
      ],
      [
        "XDG_RUNTIME_DIR",
        { HOME: "/proc", XDG_RUNTIME_DIR: "/proc/1" },
        /^tund: cannot make \/proc\/\S+ for the control socket: .*; set TUND_SOCKET, or HOME or TUND_STATE_DIR to a place of yours$/,
      ],
      [
        "TUND_SOCKET",
        { TUND_SOCKET: "/proc/1/tund/s" },
        /^tund: cannot make \/proc\/1\/tund for the control socket: .*; set TUND_SOCKET, or HOME or TUND_STATE_DIR to a place of yours$/,
      ],
    ])("tund ends with a line of it (%s)", async (_, more, line) => {
      const env = { HOME: at("ours"), TUND_SSH_CONFIG: "/dev/null", ...more };
      const { code, stderr } = await runAs(US, ["tund"], env);
      expect(code).toBe(1);
      const said = stderr
        .trimEnd()
        .split("\n")
        .filter((text) => !text.startsWith("{"));
      expect(said).toEqual([expect.stringMatching(line)]);
    });

    it("what cannot be saved is told, and tund ends when it is asked to (TUND_STATE_DIR)", async () => {
      const env = { ...place.env({ TUND_STATE_DIR: "/proc/1/tund" }) };
      await start(US, env);
      const { code, stderr } = await runAs(
        US,
        ["tunctl", "forward", "--on-demand", "-L", `${at("ours/l")}:a:80`, "h"],
        env,
      );
      expect(code).toBe(1);
      expect(stderr).toMatch(/cannot save .*the directory \/proc\/1\/tund cannot be made/);
    });

    it("tunctl -M starts no tund, and says why", async () => {
      const env = { HOME: "/proc", TUND_SOCKET: at("ours/run/tund.sock") };
      const { code, stderr } = await runAs(US, ["tunctl", "-M", "-N", "-S", at("ours/mux"), "h"], env);
      expect(code).toBe(255);
      expect(stderr).toMatch(/^cannot start tund: the directory \/proc\/\.local cannot be made: /);
      expect(existsSync(at("ours/run"))).toBe(false);
    });
  },
);
