// Files that are ssh's to judge: ssh_config, identities and known_hosts are used or refused exactly as ssh does it.
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Tund } from "../support/daemon.ts";
import { type Outcome, run } from "../support/run.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";
import {
  type Account,
  as,
  directoryOf,
  makeAccount,
  runAs,
  startAs,
  THEM,
  whyNoUsers,
} from "../support/users.ts";

const whyNot = whyNoUsers();
if (whyNot !== undefined) console.log(`skipped: files of other users that ssh reads, since ${whyNot}`);

let directory: TempDir;
let sshd: Sshd;
let person: Account & { remove(): Promise<void> };
/** one that has the person's own ~/.ssh/config, and one that is told of a file (ssh -F) */
let own: Tund;
let told: Tund;
beforeAll(async () => {
  if (whyNot !== undefined) return;
  directory = await tempDir();
  chmodSync(directory.path, 0o755);
  sshd = await startSshd();
  person = await makeAccount(directory.path);
  mkdirSync(join(person.home, ".ssh"), { mode: 0o755 });
  copyFileSync(sshd.knownHosts, at("known_hosts"));
  chmodSync(at("known_hosts"), 0o644);
  symlinkSync(at(".ssh/config"), at("config"));
  prepare();
  const home = (name: string) => directoryOf(person.uid, join(directory.path, name));
  own = await startAs(person.uid, home("own"), { HOME: person.home, TUND_SSH_CONFIG: undefined });
  told = await startAs(person.uid, home("told"), { HOME: person.home, TUND_SSH_CONFIG: at("config") });
});
afterAll(async () => {
  await own?.stop();
  await told?.stop();
  await sshd?.stop();
  await person?.remove();
  await directory?.remove();
});

const at = (name: string): string => join(person.home, name);
const config = (...more: string[]) =>
  [
    "Host h",
    "  HostName 127.0.0.1",
    `  Port ${sshd.port}`,
    `  User ${sshd.user}`,
    "  IdentityAgent none",
    "  IdentitiesOnly yes",
    `  IdentityFile ${at("id")}`,
    "  GlobalKnownHostsFile /dev/null",
    ...more.map((line) => `  ${line}`),
    "",
  ].join("\n");

/** Puts a file there, as whose and with which mode. */
function put(path: string, [uid, gid, mode]: readonly [number, number, number]): void {
  chownSync(path, uid, gid);
  chmodSync(path, mode);
}

function prepare(...more: string[]): void {
  writeFileSync(at(".ssh/config"), config(`UserKnownHostsFile ${at("known_hosts")}`, ...more));
  put(at(".ssh/config"), [person.uid, person.uid, 0o644]);
  copyFileSync(sshd.identity, at("id"));
  put(at("id"), [person.uid, person.uid, 0o600]);
  put(at("known_hosts"), [person.uid, person.uid, 0o644]);
}

const env = () => ({ PATH: process.env["PATH"], HOME: person.home });
/** Whether ssh logs in, as the person. */
const ssh = (...args: string[]): Promise<Outcome> =>
  run("setpriv", [...as(person.uid).slice(1), "ssh", "-o", "BatchMode=yes", ...args, "h", "true"], {
    env: env(),
  });
const connect = async ({ socket }: Tund): Promise<Outcome> => {
  const tunctl = (verb: string) => runAs(person.uid, ["tunctl", verb, "h"], { TUND_SOCKET: socket });
  const outcome = await tunctl("connect");
  await tunctl("exit");
  return outcome;
};

describe.skipIf(whyNot !== undefined)("ssh_config", () => {
  it.each<[string, () => readonly [number, number, number], boolean]>([
    ["of ours, closed", () => [person.uid, person.uid, 0o600], true],
    ["of ours, that others can read", () => [person.uid, person.uid, 0o644], true],
    ["of ours, to which everybody can write", () => [person.uid, person.uid, 0o666], false],
    ["of ours, to which another group can write", () => [person.uid, THEM, 0o664], false],
    ["of root's", () => [0, 0, 0o644], true],
    ["of root's, to which everybody can write", () => [0, 0, 0o666], false],
    ["of another user", () => [THEM, THEM, 0o644], false],
  ])("%s is taken as ssh takes it, and whatever it is where it is named (-F)", async (_, whose, isTaken) => {
    prepare();
    put(at(".ssh/config"), whose());
    const [theirs, ours] = [await ssh(), await connect(own)];
    const words = isTaken ? "" : `Bad owner or permissions on ${at(".ssh/config")}`;
    expect([theirs.stderr, ours.stderr]).toEqual([0, 1].map(() => expect.stringContaining(words) as string));
    expect({ ssh: theirs.code === 0, tund: ours.code === 0 }).toEqual({ ssh: isTaken, tund: isTaken });
    const named = [await ssh("-F", at(".ssh/config")), await connect(told)];
    expect(named.map(({ code }) => code)).toEqual([0, 0]);
  });

  it("to which a group of ours alone can write is taken where ssh takes it, which Debian's does", async () => {
    prepare();
    put(at(".ssh/config"), [person.uid, person.uid, 0o664]);
    const [theirs, ours] = [await ssh(), await connect(own)];
    expect(ours.code === 0).toBe(theirs.code === 0);
    spawnSync("usermod", ["-a", "-G", person.name, "daemon"]);
    try {
      const shared = [await ssh(), await connect(own)];
      expect(shared.map(({ code }) => code === 0)).toEqual([false, false]);
    } finally {
      spawnSync("gpasswd", ["-d", "daemon", person.name]);
    }
  });
});

describe.skipIf(whyNot !== undefined)("An identity", () => {
  it.each<[string, () => readonly [number, number, number], boolean]>([
    ["of ours, closed", () => [person.uid, person.uid, 0o600], true],
    ["of ours, that a group can read", () => [person.uid, person.uid, 0o640], false],
    ["of ours, that everybody can read", () => [person.uid, person.uid, 0o604], false],
    ["of root's, that a group can read, as systemd's credentials", () => [0, person.uid, 0o440], true],
    ["of root's, that everybody can read", () => [0, 0, 0o644], true],
    ["of another user, that everybody can write", () => [THEM, THEM, 0o666], true],
  ])("%s is used as ssh uses it", async (_, whose, isTaken) => {
    prepare();
    put(at("id"), whose());
    const [theirs, ours] = [await ssh(), await connect(own)];
    expect({ ssh: theirs.code === 0, tund: ours.code === 0 }).toEqual({ ssh: isTaken, tund: isTaken });
    expect(ours.stderr).toContain(isTaken ? "" : `are too open: chmod 600 ${at("id")}`);
  });
});

describe.skipIf(whyNot !== undefined)("known_hosts", () => {
  it.each<[string, () => readonly [number, number, number]]>([
    ["to which everybody can write", () => [person.uid, person.uid, 0o666]],
    ["of another user", () => [THEM, THEM, 0o644]],
  ])("%s is believed, as ssh does", async (_, whose) => {
    prepare();
    put(at("known_hosts"), whose());
    expect([(await ssh()).code, (await connect(own)).code]).toEqual([0, 0]);
  });

  it("where no directory can be made, though the one above is there, keeps neither the login nor the end", async () => {
    prepare();
    const file = "/proc/1/tund/known_hosts";
    const settings = [`UserKnownHostsFile ${file}`, "StrictHostKeyChecking accept-new"];
    writeFileSync(at(".ssh/config"), config(...settings));
    expect((await ssh()).code).toBe(0);
    await connect(own);
    expect(own.log()).toMatch(/the directory \/proc\/1\/tund cannot be made/);
    // A thread that goes on trying would keep it from ending.
    const busy = spawnSync("ps", ["-L", "-o", "stat=", "-p", String(own.pid)], { encoding: "utf8" }).stdout;
    expect(busy.split("\n").filter((stat) => stat.startsWith("R")).length).toBeLessThan(2);
    expect(await own.stop()).toMatchObject({ code: 0 });
  });
});

describe.skipIf(whyNot !== undefined)("A mux socket", () => {
  it("may lie in a sticky directory itself, as ssh's", async () => {
    prepare();
    const path = join(directoryOf(0, join(directory.path, "tmp"), 0o1777), "mux");
    const asked = ["tunctl", "connect", "-S", path, "h"];
    expect(await runAs(person.uid, asked, { TUND_SOCKET: told.socket })).toMatchObject({ code: 0 });
    expect(statSync(path)).toMatchObject({ uid: person.uid });
    expect(await ssh("-S", path, "-O", "check")).toMatchObject({ code: 0 });
    await runAs(person.uid, ["tunctl", "exit", "h"], { TUND_SOCKET: told.socket });
  });
});
