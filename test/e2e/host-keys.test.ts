// Where host keys are vouched for besides known_hosts, and how that file is kept up: beside the real ssh.
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { besideSsh } from "../support/beside-ssh.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { run } from "../support/run.ts";
import { type Key, makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

let sshd: Sshd;
let tund: Tund;
let stranger: Key;
let names = 0;

beforeAll(async () => {
  sshd = await startSshd({ hostKeyTypes: ["ed25519", "ecdsa", "rsa"] });
  stranger = await makeKey(join(sshd.directory, "stranger"), "ed25519");
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
});
afterAll(async () => {
  await tund?.stop();
  await sshd?.stop();
});

const own = (type: Key["type"]): Key => {
  const key = sshd.hostKeys.find((one) => one.type === type);
  if (key === undefined) throw new Error(`no ${type} key`);
  return key;
};
const name = () => `[127.0.0.1]:${sshd.port}`;

async function file(...lines: string[]): Promise<string> {
  const path = join(sshd.directory, `file-${names++}`);
  await writeFile(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}

const verdict = (settings: Record<string, string | number>) => besideSsh(settings, { sshd, tund });

describe("RevokedHostKeys", () => {
  it("is a list of keys, none of which is taken though it is known", async () => {
    const others = await file("# nobody", stranger.publicKey);
    expect(await verdict({ RevokedHostKeys: others })).toMatchObject({ isIn: true });
    const all = await file(stranger.publicKey, ...sshd.hostKeys.map((key) => `${key.publicKey} comment`));
    const { isIn, code, said } = await verdict({ RevokedHostKeys: all });
    expect({ isIn, code }).toEqual({ isIn: false, code: 6 });
    expect(said).toContain(`is revoked by ${all}`);
  });

  it("is a key revocation list, too", async () => {
    const krl = join(sshd.directory, `krl-${names++}`);
    const keys = sshd.hostKeys.map((key) => `${key.path}.pub`);
    expect(await run("ssh-keygen", ["-q", "-k", "-f", krl, ...keys])).toMatchObject({ code: 0 });
    expect(await verdict({ RevokedHostKeys: krl })).toMatchObject({ isIn: false, code: 6 });
    const other = join(sshd.directory, `krl-${names++}`);
    await run("ssh-keygen", ["-q", "-k", "-f", other, `${stranger.path}.pub`]);
    expect(await verdict({ RevokedHostKeys: other })).toMatchObject({ isIn: true });
  });

  it.each([
    ["garbage", "garbage"],
    ["a key that was cut short", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGy="],
    ["a key revocation list with one wrong byte in its magic", "SSHKRK\n\0"],
  ])("that has %s in it has every key refused, with the file and the line", async (_, line) => {
    const list = await file("# nobody", stranger.publicKey, line);
    const { isIn, code, said } = await verdict({ RevokedHostKeys: list });
    expect({ isIn, code }).toEqual({ isIn: false, code: 6 });
    expect(said).toContain(`RevokedHostKeys ${list} cannot be read: its line 3 is no public key`);
    const looked = await tund.tunctl(["trust", "-o", `RevokedHostKeys=${list}`, "testhost"]);
    expect(looked.code).toBe(6);
  });

  it("is looked at by trust and doctor as well", async () => {
    const all = await file(...sshd.hostKeys.map((key) => key.publicKey));
    const host = `h${names++}`;
    await sshd.addHost(host, { RevokedHostKeys: all });
    expect(await tund.tunctl(["trust", host])).toMatchObject({ code: 6 });
    expect((await tund.tunctl(["doctor", host])).stdout).toContain("is revoked");
  });

  it("that cannot be read has every key refused", async () => {
    const { isIn, code, said } = await verdict({ RevokedHostKeys: "/nonexistent/list" });
    expect({ isIn, code }).toEqual({ isIn: false, code: 6 });
    expect(said).toContain("RevokedHostKeys /nonexistent/list cannot be read");
  });
});

describe("KnownHostsCommand", () => {
  async function command(script: string): Promise<string> {
    const path = await file("#!/bin/sh", script);
    await chmod(path, 0o700);
    return path;
  }
  const nothing = { UserKnownHostsFile: "/dev/null" };

  it("vouches for a key, given what the tokens stand for", async () => {
    const log = join(sshd.directory, `log-${names++}`);
    const key = own("rsa").publicKey;
    const path = await command(`echo "$@" >> ${log}; echo '127.0.0.1 ${key}'; echo '${name()} ${key}'`);
    expect(await verdict({ ...nothing, KnownHostsCommand: `${path} %I "%H %t" %f` })).toMatchObject({
      isIn: true,
    });
    const asked = (await readFile(log, "utf8")).trim().split("\n");
    expect(new Set(asked.filter((line) => !line.startsWith("ADDRESS"))).size).toBe(2); // tund asks what ssh asks
    expect(asked[0]).toBe("ORDER 127.0.0.1 NONE NONE");
    expect(asked[1]).toMatch(/^HOSTNAME \[127\.0\.0\.1\]:\d+ ssh-rsa SHA256:/);
  });

  it("that has another key, or fails, has it refused", async () => {
    const other = await command(`echo '${name()} ${stranger.publicKey}'`);
    expect(await verdict({ ...nothing, KnownHostsCommand: other })).toMatchObject({ isIn: false, code: 6 });
    const broken = await command("echo it is broken >&2; exit 3");
    const { isIn, said } = await verdict({ ...nothing, KnownHostsCommand: broken });
    expect(isIn).toBe(false);
    expect(said).toContain("KnownHostsCommand failed");
    expect(said).toContain("it is broken");
  });
});

describe("NoHostAuthenticationForLocalhost", () => {
  it("takes any key of a loopback address, and only if it is set", async () => {
    const wrong = { UserKnownHostsFile: await file(`${name()} ${stranger.publicKey}`) };
    expect(await verdict(wrong)).toMatchObject({ isIn: false });
    expect(await verdict({ ...wrong, NoHostAuthenticationForLocalhost: "yes" })).toMatchObject({
      isIn: true,
    });
  });
});

describe("UpdateHostKeys", () => {
  /** What becomes of a known_hosts file of these lines in tund's hands, and in ssh's. */
  async function updated(lines: string[], settings: Record<string, string> = {}) {
    const [ours, theirs] = [await file(...lines), await file(...lines)];
    await chmod(ours, 0o640);
    const more = { UpdateHostKeys: "yes", ...settings };
    const [mine, its] = [`u${names++}`, `u${names++}`];
    await sshd.addHost(mine, { UserKnownHostsFile: ours, ...more });
    await sshd.addHost(its, { UserKnownHostsFile: theirs, ...more });
    expect(await run("ssh", ["-F", sshd.sshConfig, its, "true"])).toMatchObject({ code: 0 });
    expect(await tund.tunctl(["connect", mine])).toMatchObject({ code: 0, stderr: "" });
    const sorted = async (path: string) => (await readFile(path, "utf8")).split("\n").sort();
    const wanted = await sorted(theirs);
    await eventually(async () => expect(await sorted(ours)).toEqual(wanted));
    expect((await stat(ours)).mode & 0o777).toBe(0o640);
    await tund.tunctl(["exit", mine]);
    return wanted.filter((line) => line !== "");
  }

  it("adds what the server has besides, and removes what it has no more", async () => {
    const kept = ["# mine", `other.example ${stranger.publicKey}`];
    expect(await updated([`other.example,${name()} ${own("rsa").publicKey}`])).toHaveLength(3);
    expect(await updated([...kept, `${name()} ${own("rsa").publicKey}`])).toHaveLength(5);
    const old = await makeKey(join(sshd.directory, `old-${names++}`), "rsa");
    const after = await updated([`${name()} ${own("rsa").publicKey}`, `${name()} ${old.publicKey}`]);
    expect(after).toHaveLength(3);
    expect(after.join("\n")).not.toContain(old.publicKey);
  });

  it("leaves the file alone where its lines mean more than this host, or where it is off", async () => {
    const key = own("ed25519").publicKey;
    expect(await updated([`one,two,${name()} ${key}`])).toHaveLength(1);
    expect(await updated([`[127.0.0.*]:* ${key}`])).toHaveLength(1);
    expect(await updated([`${name()} ${key}`], { UpdateHostKeys: "no" })).toHaveLength(1);
    expect(await updated([`${name()} ${key}`, `other.example ${own("rsa").publicKey}`])).toHaveLength(2);
  });

  it("hides the names that it writes under HashKnownHosts", async () => {
    const path = await file(`${name()} ${own("ed25519").publicKey}`);
    const host = `u${names++}`;
    await sshd.addHost(host, { UserKnownHostsFile: path, UpdateHostKeys: "yes", HashKnownHosts: "yes" });
    expect(await tund.tunctl(["connect", host])).toMatchObject({ code: 0 });
    onTestFinished(async () => void (await tund.tunctl(["exit", host])));
    await eventually(async () => expect((await readFile(path, "utf8")).match(/^\|1\|/gm)).toHaveLength(2));
    const found = await run("ssh-keygen", ["-F", name(), "-f", path]);
    expect(found.stdout.match(/^(\[|\|)/gm)).toHaveLength(3);
  });
});
