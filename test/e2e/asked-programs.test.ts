// Programs that are asked for one answer (ssh -G, KnownHostsCommand, ssh-keygen -Q): whatever they do, tund goes on, and nothing
// of them is left.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { askpass } from "../support/askpass.ts";
import { startTund, type Tund, type TundOptions } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { makePath } from "../support/path.ts";
import { living, signal } from "../support/process-tree.ts";
import { run } from "../support/run.ts";
import { makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

let sshd: Sshd;
let names = 0;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());

const unused = (name: string): string => join(sshd.directory, `${name}-${names++}`);

async function script(...lines: string[]): Promise<string> {
  const path = unused("script");
  await writeFile(path, ["#!/bin/sh", ...lines, ""].join("\n"));
  await chmod(path, 0o700);
  return path;
}

async function host(settings: Record<string, string>): Promise<string> {
  const name = `asks-${names++}`;
  await sshd.addHost(name, settings);
  return name;
}

async function start(env: TundOptions["env"] = {}): Promise<Tund> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig, ...env } });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

/** What a script runs that hangs, with something that it has started: both do not heed SIGTERM. */
const hang = (pids: string): string => `trap '' TERM; sleep 1000 & echo $$ $! >>${pids}; wait`;

const pidsIn = async (file: string): Promise<number[]> =>
  (await readFile(file, "utf8").catch(() => "")).trim().split(/\s+/).filter(Boolean).map(Number);

/** A file for the ids of what is to end. */
function pidFile(): string {
  const file = unused("pids");
  onTestFinished(async () => living(await pidsIn(file)).forEach((pid) => signal(pid, "SIGKILL")));
  return file;
}

const gone = (file: string) => eventually(async () => expect(living(await pidsIn(file))).toEqual([]));

const failure = async (tund: Tund, name: string): Promise<string> => {
  const { code, stderr } = await tund.tunctl(["connect", name], { deadlineMs: 60_000 });
  expect(code).not.toBe(0);
  return stderr;
};

describe("a KnownHostsCommand", () => {
  it("that hangs is ended with what it has started when nobody wants the host any longer", async () => {
    const pids = pidFile();
    const name = await host({ KnownHostsCommand: await script(hang(pids)) });
    const tund = await start({ TUND_CONNECT: name });
    await eventually(async () => expect(await pidsIn(pids)).toHaveLength(2));
    expect((await tund.tunctl(["exit", name])).code).toBe(0);
    await gone(pids);
  });

  it("that hangs is ended with what it has started after 20 s", async () => {
    const pids = pidFile();
    const command = await script(hang(pids));
    const name = await host({ KnownHostsCommand: command });
    expect(await failure(await start(), name)).toContain(
      `KnownHostsCommand failed: ${command}: no answer in 20 s`,
    );
    await gone(pids);
  });

  it("that prints without end is ended with what it has started", async () => {
    const pids = pidFile();
    const command = await script(`yes & echo $$ $! >>${pids}; wait`);
    const name = await host({ KnownHostsCommand: command });
    expect(await failure(await start(), name)).toContain(`${command}: it prints more than 4096 KiB`);
    await gone(pids);
  });

  it("is answered though something that it has left behind holds its stderr", async () => {
    const pids = pidFile();
    const line = `127.0.0.1 ${sshd.hostKeys[0]?.publicKey}`;
    const command = await script(`sleep 1000 >/dev/null & echo $! >>${pids}`, `echo '${line}'`);
    const name = await host({ KnownHostsCommand: command });
    expect(await (await start()).tunctl(["connect", name], { deadlineMs: 15_000 })).toMatchObject({
      code: 0,
    });
  });

  it("that reads no stdin, or says more than anybody wants to know, fails by its own words", async () => {
    const command = await script("exec <&-", "yes it is broken | head -c 1000000 >&2", "exit 3");
    const name = await host({ KnownHostsCommand: command });
    const told = await failure(await start(), name);
    expect(told).toContain(
      `KnownHostsCommand failed: ${command}: it ended with exit code 3: it is broken; it`,
    );
    expect(told.length).toBeLessThan(1500);
    expect(told.trim().split("\n")).toHaveLength(1);
  });
});

describe("an ssh-keygen that reads a key revocation list", () => {
  it("and hangs is ended with what it has started, and may answer another time", async () => {
    const [pids, list] = [pidFile(), unused("krl")];
    await run("ssh-keygen", ["-q", "-k", "-f", list, `${sshd.hostKeys[0]?.path}.pub`]);
    const path = await makePath(["ssh-keygen"], { "ssh-keygen": hang(pids) });
    onTestFinished(() => path.remove());
    const name = await host({ RevokedHostKeys: list });
    const tund = await start({ PATH: path.PATH });
    expect(await failure(tund, name)).toContain(
      `RevokedHostKeys ${list} cannot be read: ssh-keygen -Q for ${list}: no answer in 10 s`,
    );
    await gone(pids);
  });
});

if (process.platform !== "linux")
  console.log("skipped: descriptors that run out are made by prlimit(1), which is Linux's");
// Lowered while it runs: whoever comes gets through, and there is no room for a program behind.
describe.skipIf(process.platform !== "linux")("where there are no descriptors left for a program", () => {
  const limit = (tund: Tund, most: number) =>
    execFileSync("prlimit", [`--pid=${tund.pid}`, `--nofile=${most}:`]);

  it("its host fails by that, and tund goes on", async () => {
    const name = await host({});
    const tund = await start();
    const open = new Set((await readdir(`/proc/${tund.pid}/fd`)).map(Number));
    const free = Array.from({ length: 1024 }, (_, fd) => fd).filter((fd) => !open.has(fd));
    limit(tund, (free[2] ?? 0) + 1); // one for who comes, and two of the eight that a program takes
    expect(await failure(tund, name)).toMatch(
      new RegExp(`ssh cannot resolve '${name}': cannot run ssh: spawn ssh EMFILE`),
    );
    limit(tund, 1024);
    expect(await tund.tunctl(["connect", name])).toMatchObject({ code: 0, stderr: "" });
  });
});

// Node's spawn() waits for the child's exec(), and everybody with it: where the processors are busy, for a second.
it("no program is started by Node's own spawn(), where the compiled file is there", async () => {
  const spawned = unused("spawned");
  const hook = `${unused("hook")}.cjs`;
  await writeFile(
    hook,
    `const child = require("node:child_process");
const { appendFileSync } = require("node:fs");
for (const name of ["spawn", "exec", "execFile", "fork", "spawnSync", "execSync", "execFileSync"])
  child[name] = (what) => {
    appendFileSync(${JSON.stringify(spawned)}, \`\${name} \${what}\\n\`);
    throw new Error("planted: no spawn here");
  };`,
  );
  const locked = await makeKey(unused("locked"), "ed25519", "a passphrase");
  const known = await script(`echo '127.0.0.1 ${sshd.hostKeys[0]?.publicKey}'`);
  const krl = unused("krl");
  expect(await run("ssh-keygen", ["-q", "-k", "-f", krl])).toMatchObject({ code: 0 });
  const settings = {
    ProxyCommand: `ssh -F ${sshd.sshConfig} -W %h:%p testhost`,
    KnownHostsCommand: known,
    RevokedHostKeys: krl,
    IdentityFile: locked.path,
  };
  const name = await host(settings);
  const tund = await startTund({
    nodeArgs: ["--require", hook],
    env: { TUND_SSH_CONFIG: sshd.sshConfig },
  });
  onTestFinished(async () => void (await tund.stop()));
  const person = await askpass(sshd.directory, ["a passphrase"]);
  // The server does not know the key: the login fails, at its very end.
  const { code, stderr } = await tund.tunctl(["connect", name], { env: person.env });
  expect({ code, stderr }).toEqual({ code: 7, stderr: expect.stringContaining(locked.path) });
  expect(existsSync(spawned)).toBe(false);
});
