// Where there is less than a login has: a uid without a passwd entry, no HOME, no OpenSSH.
import { spawnSync } from "node:child_process";
import { chown, copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { askpass } from "../support/askpass.ts";
import { type Background, startInBackground } from "../support/background.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { makePath } from "../support/path.ts";
import { type Outcome, run } from "../support/run.ts";
import { makeKey } from "../support/ssh-key.ts";
import { SshConfig } from "../support/ssh-config.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

const UID = 12345;
const SECRET = "correct horse battery staple";
const NSS_WRAPPER = "libnss_wrapper.so";
const AS = ["setpriv", "--reuid", `${UID}`, "--regid", `${UID}`, "--clear-groups"];
const program = (name: string): string => resolve(`dist/${name}.cjs`);

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "a uid without a passwd entry needs root, to become one";
  if (spawnSync("id", ["-un", `${UID}`]).status === 0) return `uid ${UID} has a passwd entry here`;
  const [setpriv = "", ...as] = AS;
  const tried = spawnSync(setpriv, [...as, process.execPath, program("tund"), "--version"]);
  return tried.status === 0
    ? undefined
    : "another user can run neither setpriv nor what is in this directory";
}

function whyNoWrapper(): string | undefined {
  const { stderr } = spawnSync("true", { env: { LD_PRELOAD: NSS_WRAPPER }, encoding: "utf8" });
  return stderr === "" ? undefined : "nss_wrapper is not installed";
}

const why = whyNot();
if (why !== undefined) console.log(`skipped: ${why}`);
const noWrapper = why ?? whyNoWrapper();
if (noWrapper !== undefined) console.log(`skipped: a login under nss_wrapper: ${noWrapper}`);

describe.skipIf(why !== undefined)("a uid without a passwd entry", () => {
  const home = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), "t-"));
    await chown(path, UID, UID);
    onTestFinished(() => rm(path, { recursive: true, force: true }));
    return path;
  };

  /** Runs a program of ours as that uid, in this environment alone. */
  const as = (name: string, args: readonly string[], env: Record<string, string>): Promise<Outcome> => {
    const [setpriv = "", ...more] = AS;
    const command = [...more, process.execPath, program(name), ...args];
    return run(setpriv, command, { cwd: "/", env: { PATH: process.env["PATH"], ...env } });
  };

  async function start(env: Record<string, string>): Promise<Background> {
    const [setpriv = "", ...more] = AS;
    const options = { cwd: "/", env: { PATH: process.env["PATH"], TUND_LOG_FORMAT: "json", ...env } };
    const tund = await startInBackground(setpriv, [...more, process.execPath, program("tund")], options);
    onTestFinished(async () => {
      tund.kill("SIGTERM");
      await tund.end;
    });
    await eventually(() => expect(tund.log()).toContain("tund is ready"), { deadlineMs: 20_000 });
    return tund;
  }

  it.each([
    ["HOME", (at: string) => ({ HOME: at })],
    ["a HOME that is not there yet", (at: string) => ({ HOME: join(at, "not", "yet") })],
    ["TUND_STATE_DIR and no HOME", (at: string) => ({ TUND_STATE_DIR: join(at, "s") })],
    ["TUND_STATE_DIR and a relative HOME", (at: string) => ({ HOME: "no", TUND_STATE_DIR: join(at, "s") })],
    ["the XDG directories", (at: string) => ({ XDG_RUNTIME_DIR: at, XDG_STATE_HOME: at })],
  ])("has all but logins with %s", async (_, environment) => {
    const env = environment(await home());
    const tund = await start(env);
    expect(await as("tunctl", ["status"], env)).toMatchObject({ code: 0, stderr: "" });
    expect(await as("tunctl", ["list"], env)).toMatchObject({ code: 0 });
    const advice = `add a line for uid ${UID} to /etc/passwd, or start tund with nss_wrapper (LD_PRELOAD, NSS_WRAPPER_PASSWD, NSS_WRAPPER_GROUP)`;
    expect(await as("tunctl", ["connect", "db"], env)).toMatchObject({
      stdout: "",
      stderr: `tunctl: ssh cannot resolve 'db': No user exists for uid ${UID}: ${advice}\n`,
    });
    const doctor = await as("tunctl", ["doctor"], env);
    expect(doctor.code).toBe(1);
    const finding = new RegExp(`problem +account +uid ${UID} has no entry in passwd: .*; next: add a line`);
    expect(doctor.stdout).toMatch(finding);
    const warnings = tund
      .log()
      .split("\n")
      .filter((line) => line.includes("has no entry in passwd"));
    expect(warnings).toHaveLength(1);
    expect(JSON.parse(warnings[0] ?? "")).toMatchObject({ level: "warn" });
  });

  it("is told in one line what to set where neither HOME nor a place of its own is given", async () => {
    expect(await as("tund", [], {})).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^tund: cannot make \/\.local\/state\/tund\/run .*set TUND_SOCKET, or HOME or TUND_STATE_DIR to a place of yours\n$/,
      ) as string,
    });
    const { code, stderr } = await as("tunctl", ["status"], {});
    expect({ code, lines: stderr.trim().split("\n").length }).toEqual({ code: 3, lines: 1 });
    expect(stderr).toContain("no daemon answers on /.local/state/tund/run/tund.sock");
  });

  describe.skipIf(noWrapper !== undefined)("under nss_wrapper", () => {
    let sshd: Sshd;
    beforeAll(async () => {
      sshd = await startSshd({
        authorizedKeys: (key) => [key, locked],
        prepare: async (directory) => {
          locked = (await makeKey(join(directory, "locked"), "ed25519", SECRET)).publicKey;
        },
      });
    });
    afterAll(() => sshd?.stop());
    let locked = "";

    /** What a container's image would have, in a home of that uid. */
    async function furnish(at: string): Promise<Record<string, string>> {
      const [passwd, group] = [join(at, "passwd"), join(at, "group")];
      await writeFile(passwd, `somebody:x:${UID}:${UID}::${at}:/bin/sh\n`);
      await writeFile(group, `somebody:x:${UID}:\n`);
      await copyFile(sshd.identity, join(at, "id"));
      await copyFile(join(sshd.directory, "locked"), join(at, "locked"));
      await copyFile(sshd.knownHosts, join(at, "known_hosts"));
      // A list that ssh-keygen has to read, which does not run without an account either.
      const other = await makeKey(join(at, "other"), "ed25519");
      await run("ssh-keygen", ["-k", "-f", join(at, "krl"), `${other.path}.pub`]);
      const config = new SshConfig(join(at, "ssh_config"), {
        HostName: sshd.host,
        Port: sshd.port,
        User: sshd.user,
        IdentityFile: "~/id",
        IdentitiesOnly: "yes",
        IdentityAgent: "none",
        UserKnownHostsFile: "~/known_hosts",
        GlobalKnownHostsFile: "/dev/null",
      });
      await config.add("testhost", { RevokedHostKeys: "~/krl" });
      const relay = `process.stdin.pipe(require("net").connect(${sshd.port}, "${sshd.host}")).pipe(process.stdout)`;
      await writeFile(join(at, "proxy"), `id -un > ${at}/who\nexec ${process.execPath} -e '${relay}'\n`);
      await config.add("behind", { ProxyCommand: `sh ${at}/proxy` });
      await config.add("locked", { IdentityFile: "~/locked" });
      const given = await askpass(at, [SECRET]);
      for (const name of await readdir(at)) await chown(join(at, name), UID, UID);
      return {
        ...given.env,
        HOME: at,
        TUND_SSH_CONFIG: config.path,
        LD_PRELOAD: NSS_WRAPPER,
        NSS_WRAPPER_PASSWD: passwd,
        NSS_WRAPPER_GROUP: group,
      };
    }

    it("logs in, since every program that tund runs has its account", async () => {
      const at = await home();
      const env = await furnish(at);
      const tund = await start(env);
      for (const host of ["testhost", "behind", "locked"])
        expect(await as("tunctl", ["connect", host], env)).toMatchObject({ code: 0, stderr: "" });
      expect(await readFile(join(at, "who"), "utf8")).toBe("somebody\n");
      expect(tund.log()).not.toContain("without ssh-add");
      expect(tund.log()).not.toContain("passwd");
      expect((await as("tunctl", ["doctor"], env)).stdout).not.toContain("account");
    });

    it.each([
      ["is not set", {}],
      ["is empty", { HOME: "" }],
      ["is relative", { HOME: "no" }],
    ])("keeps its things in passwd's home where HOME %s", async (_, { HOME }: { HOME?: string }) => {
      const at = await home();
      const { HOME: _ours, ...rest } = await furnish(at);
      const env = { ...rest, ...(HOME !== undefined && { HOME }) };
      await start(env);
      expect((await as("tunctl", ["status"], env)).stdout).toContain(`${at}/.local/state/tund/run/tund.sock`);
      expect(await as("tunctl", ["connect", "testhost"], env)).toMatchObject({ code: 0, stderr: "" });
    });
  });
});

describe("where OpenSSH is missing", () => {
  /** A PATH of one directory, with nothing but these. */
  async function startWith(programs: readonly string[]): Promise<Tund> {
    const path = await makePath(programs, {});
    onTestFinished(() => path.remove());
    return startAt(path.at);
  }
  async function startAt(PATH: string | undefined): Promise<Tund> {
    const tund = await startTund({ env: { PATH } });
    onTestFinished(async () => void (await tund.stop()));
    return tund;
  }
  const warned = (tund: Tund): string[] =>
    tund
      .log()
      .split("\n")
      .filter((line) => line.includes(`"warn"`) && line.includes("on tund's PATH"));

  it("altogether, the start and doctor say so, connecting does, and all else works", async () => {
    const tund = await startWith(["sh"]);
    await eventually(() => expect(warned(tund)).toHaveLength(1));
    expect(warned(tund)[0]).toMatch(/there is no ssh on tund's PATH, which is .*: install OpenSSH's client/);
    expect(await tund.tunctl(["status"])).toMatchObject({ code: 0, stderr: "" });
    const doctor = await tund.tunctl(["doctor"]);
    expect(doctor.code).toBe(1);
    expect(doctor.stdout).toMatch(/problem +ssh +there is no ssh on tund's PATH/);
    expect(doctor.stdout).toMatch(/note +identities +there is no ssh-add and no ssh-agent on tund's PATH/);
    const { code, stderr } = await tund.tunctl(["connect", "db"]);
    expect({ code, stderr }).toMatchObject({
      stderr: expect.stringMatching(
        /^tunctl: there is no ssh on PATH, .*: install the OpenSSH client\n$/,
      ) as string,
    });
    expect(code).not.toBe(0);
  });

  it("in part, doctor alone tells what becomes worse", async () => {
    const tund = await startWith(["sh", "ssh", "ssh-agent"]);
    const doctor = await tund.tunctl(["doctor"]);
    expect(doctor.code).toBe(0);
    expect(doctor.stdout).toMatch(
      /note +ssh +there is no ssh-keygen on tund's PATH: hosts whose RevokedHostKeys is a key revocation list/,
    );
    expect(doctor.stdout).toMatch(/note +identities +there is no ssh-add on tund's PATH/);
    expect(warned(tund)).toEqual([]);
  });

  it("is not said where PATH is not set, but ssh is where execvp(3) looks then", async ({ skip }) => {
    const found = spawnSync("ssh", ["-V"], { env: {} });
    if (found.status !== 0) skip("there is no ssh in /bin or /usr/bin");
    const tund = await startAt(undefined);
    expect((await tund.tunctl(["doctor"])).stdout).toMatch(/ok +ssh +OpenSSH's client is on PATH/);
    expect((await tund.tunctl(["connect", "db"])).stderr).not.toContain("there is no ssh");
  });
});
