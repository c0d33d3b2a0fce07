// tunctl looks who answers before it says anything: what it says may be a passphrase.
import { chmodSync, chownSync, existsSync, linkSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  ALICE,
  asUser,
  directoryOf,
  everyTunctl,
  MALLORY,
  native,
  whyNoOthers,
  withoutNative,
} from "../support/as-user.ts";
import { startInBackground } from "../support/background.ts";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type Outcome, run } from "../support/run.ts";

// Tells of every connection, and answers as a daemon does that has nothing.
const LISTENER = `const [path] = process.argv.slice(1);
require("node:http").createServer((asked, answer) => {
  console.log("heard", asked.method, asked.url);
  answer.end(JSON.stringify({ masters: [], forwards: [], findings: [], ticket: "t" }));
}).on("connection", () => console.log("connected")).listen(path, () => {
  require("node:fs").chmodSync(path, 0o777);
  console.log("listening");
});`;

/** Has a user listen at a path; what it says is its log. */
async function listen(uid: number, path: string) {
  const [command, ...args] = [...asUser(uid), process.execPath, "-e", LISTENER, path];
  const listener = await startInBackground(command ?? "", args, {
    env: { PATH: process.env["PATH"] },
    cwd: "/",
  });
  onTestFinished(() => listener.kill("SIGKILL"));
  await eventually(() => expect(listener.log()).toBe("listening\n"));
  return listener;
}

/** Runs tunctl as a user, with somebody to ask (an askpass program that says `secret`). */
function tunctl(uid: number, program: string, socket: string, ...args: string[]): Promise<Outcome> {
  const [command, ...rest] = [...asUser(uid), process.execPath, program, ...args];
  const env = { PATH: process.env["PATH"], HOME: "/nonexistent", TUND_SOCKET: socket };
  const asking = { SSH_ASKPASS_REQUIRE: "force", SSH_ASKPASS: "/bin/true" };
  return run(command, rest, { env: { ...env, ...asking }, cwd: "/" });
}

const everyWay = [
  ["list"],
  ["check", "db"],
  ["status"],
  ["exit", "db"],
  ["connect", "db"],
  ["forward", "-L", "1080:a:1", "db"],
  ["trust", "db"],
  ["doctor"],
  ["events"],
  ["wait", "db"],
  ["stdio", "a:1", "db"],
  ["shell", "db"],
  ["list", "--wait", "5"],
];
const sshsWay = [
  ["-O", "check", "db"],
  ["-O", "forward", "-L", "1080:a:1", "db"],
  ["-O", "exit", "-S", "/tmp/x", "db"],
  ["-M", "-S", "/tmp/x", "db"],
];

const ROOT_IS_TOLD =
  /^tunctl: not speaking to \S+: its directory belongs to somebody else \(uid 54321\), and root speaks to its own tund alone: 'sudo -u \\#54321 tunctl \.\.\.'\n$/;
const OTHERS_ARE_TOLD =
  /^tunctl: not speaking to \S+: its directory belongs to somebody else \(uid 54321\), and you speak to your own tund or root's alone: start yours, or say where it listens with --socket PATH or TUND_SOCKET\n$/;

if (whyNoOthers !== null) console.log(`skipped: who answers tunctl: ${whyNoOthers}`);
describe.skipIf(whyNoOthers !== null)("tunctl", () => {
  const built = join(process.cwd(), "dist", "tunctl.cjs");

  it("does not even connect to a socket in a directory of somebody else, whatever is asked for", async () => {
    const socket = join(await directoryOf(MALLORY), "tund.sock");
    const listener = await listen(MALLORY, socket);
    const few = [["list"], ["connect", "db"], ["events"]];
    // Without a daemon the doctor says what a start would refuse.
    const printed = ([verb]: readonly string[]) => (verb === "doctor" ? /^STATE .*\nproblem +socket / : /^$/);
    const refused = async (uid: number, program: string, ways: readonly string[][]) => {
      for (const args of ways) {
        const outcome = await tunctl(uid, program, socket, ...args);
        const stderr = expect.stringMatching(uid === 0 ? ROOT_IS_TOLD : OTHERS_ARE_TOLD) as string;
        const stdout = expect.stringMatching(printed(args)) as string;
        expect({ args, ...outcome }).toMatchObject({ args, code: 3, stdout, stderr });
      }
    };
    await refused(ALICE, built, [...everyWay, ["-W", "a:1", "db"]]);
    await refused(ALICE, await withoutNative(), few);
    for (const program of await everyTunctl()) await refused(0, program, few);
    for (const args of sshsWay)
      expect(await tunctl(ALICE, built, socket, ...args)).toMatchObject({
        code: 255,
        stdout: "",
        stderr: expect.stringMatching(/^not speaking to \S+: its directory belongs to /) as string,
      });
    expect(listener.log()).toBe("listening\n");
  });

  it("offers no completions of somebody else's", async () => {
    const socket = join(await directoryOf(MALLORY), "tund.sock");
    const listener = await listen(MALLORY, socket);
    const outcome = await tunctl(ALICE, built, socket, "__complete", "1", "exit", "");
    expect(outcome).toMatchObject({ code: 0, stdout: "words\n" });
    expect(listener.log()).toBe("listening\n");
  });

  it("does not connect to somebody else's socket in a directory that all share", async () => {
    const directory = await directoryOf(0, 0o1777);
    const socket = join(directory, "tund.sock");
    const listener = await listen(MALLORY, socket);
    const link = join(directory, "link");
    symlinkSync(socket, link);
    for (const program of await everyTunctl())
      for (const path of [socket, link])
        expect(await tunctl(ALICE, program, path, "connect", "db")).toMatchObject({
          code: 3,
          stderr: expect.stringMatching(/: it belongs to .* \(uid 54321\), and you speak/) as string,
        });
    expect(listener.log()).toBe("listening\n");
  });

  it("does not follow somebody else's symlink, nor its own to somebody else's", async () => {
    const [shared, ours, theirs] = [
      await directoryOf(0, 0o1777),
      await directoryOf(ALICE),
      await directoryOf(MALLORY),
    ];
    const own = join(ours, "tund.sock");
    const listener = await listen(ALICE, own);
    const foreign = await listen(MALLORY, join(theirs, "tund.sock"));
    chownSync(join(theirs, "tund.sock"), ALICE, ALICE);
    const [link, toForeign] = [join(shared, "link"), join(ours, "to-foreign")];
    expect((await run("setpriv", [...asUser(MALLORY).slice(1), "ln", "-s", own, link])).code).toBe(0);
    symlinkSync(join(theirs, "tund.sock"), toForeign);
    for (const program of await everyTunctl()) {
      for (const [path, part] of [
        [link, "it belongs"],
        [toForeign, "its directory belongs"],
      ] as const)
        expect(await tunctl(ALICE, program, path, "list")).toMatchObject({
          code: 3,
          stderr: expect.stringContaining(part) as string,
        });
      expect(await tunctl(ALICE, program, own, "list")).toMatchObject({ code: 0, stderr: "" });
    }
    expect(listener.log()).toContain("heard GET /v1/forwards");
    expect(foreign.log()).toBe("listening\n");
  });

  it("says nothing to a listener of somebody else behind a file of its own; without the compiled file that is not known", async () => {
    const socket = join(await directoryOf(MALLORY), "tund.sock");
    const listener = await listen(MALLORY, socket);
    const ours = join(await directoryOf(ALICE), "tund.sock");
    linkSync(socket, ours);
    chownSync(ours, ALICE, ALICE);
    if (!existsSync(native)) return console.log(`skipped: who listens, since there is no ${native}`);
    for (const args of [...everyWay, ...sshsWay]) {
      const { code, stderr } = await tunctl(ALICE, built, ours, ...args);
      expect({ args, code, stderr }).toMatchObject({
        code: args[0]?.startsWith("-") === true ? 255 : 3,
        stderr: expect.stringMatching(
          /not speaking to \S+: who listens is .* \(uid 54321\), and you/,
        ) as string,
      });
    }
    expect(listener.log()).not.toContain("heard");
    expect(await tunctl(ALICE, await withoutNative(), ours, "list")).toMatchObject({ code: 0 });
    return undefined;
  });

  it("says nothing in a directory that others can change, where the kernel cannot be asked who listens", async () => {
    const directory = await directoryOf(ALICE);
    const socket = join(directory, "tund.sock");
    const listener = await listen(ALICE, socket);
    chmodSync(directory, 0o777);
    expect(await tunctl(ALICE, await withoutNative(), socket, "list")).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/others may write in \S+ .*without the compiled file/) as string,
    });
    expect(listener.log()).not.toContain("heard");
  });

  it("speaks to root's listener, which is systemd's, and as root to none that is behind another user's file", async () => {
    const directory = await directoryOf(ALICE);
    const socket = join(directory, "tund.sock");
    const byRoot = await listen(0, socket);
    chownSync(socket, ALICE, ALICE);
    for (const program of await everyTunctl()) {
      expect(await tunctl(ALICE, program, socket, "list")).toMatchObject({ code: 0, stderr: "" });
      expect(await tunctl(0, program, socket, "list")).toMatchObject({ code: 3, stdout: "" });
    }
    expect(byRoot.log()).toContain("heard GET /v1/forwards");
  });

  it("speaks to a user's tund as that user, and as root says how", async () => {
    const { stdout } = await run("id", ["-u", "nobody"]);
    const uid = Number(stdout);
    const home = await directoryOf(uid, 0o700);
    mkdirSync(join(home, "run"), { mode: 0o700 });
    chownSync(join(home, "run"), uid, uid);
    const tund = await startTund({ within: asUser(uid), home });
    onTestFinished(async () => void (await tund.stop()));
    for (const program of await everyTunctl()) {
      expect(await tunctl(uid, program, tund.socket, "status")).toMatchObject({ code: 0, stderr: "" });
      const refused = await tunctl(0, program, tund.socket, "status");
      expect(refused).toMatchObject({ code: 3, stdout: "" });
      expect(refused.stderr).toMatch(
        /belongs to nobody \(uid \d+\), and root .*: 'sudo -u nobody tunctl \.\.\.'\n$/,
      );
    }
  });

  it("speaks as root to the machine's own tund, whose directory only root can have made", async () => {
    const script = `set -e
      mount -t tmpfs -o mode=755 tmpfs /run
      install -d -o ${MALLORY} -g ${MALLORY} -m 700 /run/tund /run/other
      start() { ${asUser(MALLORY).join(" ")} "${process.execPath}" -e "$LISTENER" $1 > $2 & listeners="$listeners $!"; }
      start /run/tund/tund.sock /run/log; start /run/other/tund.sock /run/log2
      trap 'kill $listeners' EXIT
      until grep -q listening /run/log && grep -q listening /run/log2; do :; done
      ask() { TUND_SOCKET=$1 "${process.execPath}" "${built}" list 2>&1 && echo "spoken to"; echo "exit $?"; }
      ask /run/tund/tund.sock
      ask /run/other/tund.sock
      chmod 777 /run; ask /run/tund/tund.sock`;
    const { stdout, stderr } = await run("unshare", ["--mount", "sh", "-c", script], {
      env: { ...process.env, LISTENER },
    });
    if (/unshare|mount/.test(stderr)) return console.log(`skipped: the machine's own tund: ${stderr}`);
    const refused = (path: string) =>
      `tunctl: not speaking to ${path}: its directory belongs to somebody else (uid 54321), and root speaks to its own ` +
      String.raw`tund alone: 'sudo -u \#54321 tunctl ...'` +
      "\nexit 3\n";
    expect({ stdout, stderr }).toEqual({
      stdout: `spoken to\nexit 0\n${refused("/run/other/tund.sock")}${refused("/run/tund/tund.sock")}`,
      stderr: "",
    });
    return undefined;
  });
});
