import { chmod, copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startAgent } from "../support/agent.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type Key, makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp-dir.ts";

let sshd: Sshd;
let tund: Tund;
let stranger: Key;
let encrypted: Key;
let names = 0;

beforeAll(async () => {
  sshd = await startSshd({ hostKeyTypes: ["ed25519", "ecdsa", "rsa"] });
  stranger = await makeKey(join(sshd.directory, "stranger"), "ed25519");
  encrypted = await makeKey(join(sshd.directory, "encrypted"), "ed25519", "secret");
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
});
afterAll(async () => {
  await tund?.stop();
  await sshd?.stop();
});

/** Connects this server under a name of its own, with these settings. */
async function connect(settings: Record<string, string | number>, daemon: Tund = tund) {
  const name = `h${names++}`;
  await sshd.addHost(name, settings);
  const outcome = await daemon.tunctl(["connect", name]);
  if (outcome.code === 0) await daemon.tunctl(["exit", name]);
  return outcome;
}

/** A known_hosts file with these lines. */
async function knownHosts(...lines: string[]): Promise<string> {
  const file = join(sshd.directory, `known_hosts-${names++}`);
  await writeFile(file, lines.map((line) => `${line}\n`).join(""));
  return file;
}

const where = () => `[127.0.0.1]:${sshd.port}`;
const key = (type: Key["type"]) => sshd.hostKeys.find((each) => each.type === type)?.publicKey ?? "";

describe("a host key", () => {
  it("that is not known is refused with its fingerprint and the next step, and nothing is recorded", async () => {
    const file = await knownHosts();
    const { code, stderr } = await connect({ UserKnownHostsFile: file });
    expect(code).toBe(6);
    expect(stderr).toMatch(
      /^tunctl: the host key of \[127\.0\.0\.1\]:\d+ is not known: ED25519 key SHA256:[\w+/]{43}\. .*StrictHostKeyChecking=accept-new\n$/,
    );
    expect(await readFile(file, "utf8")).toBe("");
  });

  it("that is not known is recorded under accept-new, for ssh to find", async () => {
    const file = await knownHosts();
    expect(await connect({ UserKnownHostsFile: file, StrictHostKeyChecking: "accept-new" })).toMatchObject({
      code: 0,
      stderr: "",
    });
    await eventually(async () => expect(await readFile(file, "utf8")).toBe(`${where()} ${key("ed25519")}\n`));
    expect(await connect({ UserKnownHostsFile: file, StrictHostKeyChecking: "yes" })).toMatchObject({
      code: 0,
    });
  });

  it.each(["yes", "ask", "accept-new", "no"])(
    "that has changed is refused under StrictHostKeyChecking %s",
    async (StrictHostKeyChecking) => {
      const line = `${where()} ${stranger.publicKey}`;
      const file = await knownHosts(line);
      const { code, stderr } = await connect({ UserKnownHostsFile: file, StrictHostKeyChecking });
      expect(code).toBe(6);
      expect(stderr).toContain(`has changed`);
      expect(stderr).toContain(`${file}:1 has another`);
      expect(await readFile(file, "utf8")).toBe(`${line}\n`);
    },
  );

  it.each(["ed25519", "ecdsa", "rsa"] as const)(
    "of type %s alone is known, and no false alarm is raised for the others",
    async (type) => {
      expect(
        await connect({ UserKnownHostsFile: await knownHosts(`${where()} ${key(type)}`) }),
      ).toMatchObject({ code: 0, stderr: "" });
    },
  );

  it("is found by HostKeyAlias, by wildcard and by the bare host", async () => {
    expect(
      await connect({ HostKeyAlias: "db", UserKnownHostsFile: await knownHosts(`db ${key("rsa")}`) }),
    ).toMatchObject({ code: 0 });
    expect(
      await connect({ UserKnownHostsFile: await knownHosts(`[127.0.0.*]:* ${key("ecdsa")}`) }),
    ).toMatchObject({ code: 0 });
    expect(
      await connect({ UserKnownHostsFile: await knownHosts(`127.0.0.1 ${key("ed25519")}`) }),
    ).toMatchObject({ code: 0 });
  });

  it("that is revoked is refused though another line knows it", async () => {
    const file = await knownHosts(`${where()} ${key("ed25519")}`, `@revoked * ${key("ed25519")}`);
    const { code, stderr } = await connect({ UserKnownHostsFile: file });
    expect({ code, stderr }).toMatchObject({
      code: 6,
      stderr: expect.stringContaining(`is revoked by ${file}:2`) as string,
    });
  });
});

describe("an identity", () => {
  it("that is refused ends in exit code 7, with what was tried and what the server accepts", async () => {
    const { code, stderr } = await connect({ IdentityFile: stranger.path });
    expect(code).toBe(7);
    expect(stderr).toMatch(
      /^tunctl: authentication failed: .* accepts publickey.*; refused: .*stranger \(SHA256:.*\)\n$/,
    );
  });

  it("with a passphrase is offered by its public half; only if the server takes it the passphrase is needed", async () => {
    const { code, stderr } = await connect({ IdentityFile: encrypted.path });
    expect(code).toBe(7);
    expect(stderr).toMatch(/; refused: .*encrypted \(SHA256:[^)]*\)\n$/);
    const takes = await startSshd({ authorizedKeys: () => [encrypted.publicKey] });
    onTestFinished(() => takes.stop());
    await takes.addHost("it", { IdentityFile: encrypted.path });
    const daemon = await startTund({ env: { TUND_SSH_CONFIG: takes.sshConfig } });
    onTestFinished(async () => void (await daemon.stop()));
    const needed = await daemon.tunctl(["connect", "it"]);
    expect(needed.code).toBe(7);
    expect(needed.stderr).toMatch(
      /it needs the passphrase of .*encrypted .*run 'tunctl connect it' in a terminal\n$/,
    );
  });

  it("that others may read is not used, as by ssh", async () => {
    const open = join(sshd.directory, "open");
    await copyFile(sshd.identity, open);
    await chmod(open, 0o644);
    const { code, stderr } = await connect({ IdentityFile: open });
    expect(code).toBe(7);
    expect(stderr).toContain(`${open}: its permissions 0644 are too open: chmod 600 ${open}`);
  });

  it.each(["ecdsa", "rsa"] as const)("of type %s logs in", async (type) => {
    const own = await makeKey(join(sshd.directory, `login-${type}`), type);
    const other = await startSshd({ authorizedKeys: () => [own.publicKey] });
    onTestFinished(() => other.stop());
    await other.addHost("it", { IdentityFile: own.path });
    const daemon = await startTund({ env: { TUND_SSH_CONFIG: other.sshConfig } });
    onTestFinished(async () => void (await daemon.stop()));
    expect(await daemon.tunctl(["connect", "it"])).toMatchObject({ code: 0, stderr: "" });
  });

  it("comes from the agent, in ssh's order, and IdentitiesOnly keeps the others back", async () => {
    const agent = await startAgent();
    onTestFinished(() => agent.stop());
    await agent.add(stranger.path);
    await agent.add(sshd.identity);
    const authorized = await readFile(`${sshd.identity}.pub`, "utf8");
    const few = await startSshd({ config: ["MaxAuthTries 4"], authorizedKeys: () => [authorized.trim()] });
    onTestFinished(() => few.stop());
    const daemon = await startTund({ env: { TUND_SSH_CONFIG: few.sshConfig, SSH_AUTH_SOCK: agent.socket } });
    onTestFinished(async () => void (await daemon.stop()));
    // None of its own files: the agent's second key is the one.
    await few.addHost("any", { IdentityFile: "none", IdentitiesOnly: "no", IdentityAgent: "SSH_AUTH_SOCK" });
    expect(await daemon.tunctl(["connect", "any"])).toMatchObject({ code: 0, stderr: "" });
    // A file that the agent holds goes first.
    await few.addHost("named", {
      IdentityFile: `${sshd.identity}.pub`,
      IdentitiesOnly: "no",
      IdentityAgent: "SSH_AUTH_SOCK",
      ServerAliveInterval: 21,
    });
    expect(await daemon.tunctl(["connect", "named"])).toMatchObject({ code: 0 });
    await few.addHost("only", {
      IdentityFile: stranger.path,
      IdentitiesOnly: "yes",
      IdentityAgent: "SSH_AUTH_SOCK",
    });
    const only = await daemon.tunctl(["connect", "only"]);
    expect(only.code).toBe(7);
    expect(only.stderr.match(/SHA256:/g)).toHaveLength(1);
    await few.addHost("without", { IdentityFile: "none", IdentityAgent: "none", IdentitiesOnly: "no" });
    expect((await daemon.tunctl(["connect", "without"])).stderr).toContain("tund had no key to offer");
  });

  it("of an agent that is gone does not keep the files from being tried", async () => {
    const daemon = await startTund({
      env: { TUND_SSH_CONFIG: sshd.sshConfig, SSH_AUTH_SOCK: "/nonexistent/agent" },
    });
    onTestFinished(async () => void (await daemon.stop()));
    expect(await connect({ IdentityAgent: "SSH_AUTH_SOCK" }, daemon)).toMatchObject({ code: 0, stderr: "" });
    expect(
      (await connect({ IdentityFile: stranger.path, IdentityAgent: "SSH_AUTH_SOCK" }, daemon)).stderr,
    ).toContain("agent /nonexistent/agent: ");
  });
});

describe("a host that cannot be reached", () => {
  it("is told with the address and the system's reason", async () => {
    const { code, stderr } = await connect({ Port: 1 });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "tunctl: cannot reach 127.0.0.1:1: connection refused\n",
    });
    const unknown = await connect({ HostName: "no-such-host.invalid" });
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain("cannot resolve no-such-host.invalid: ");
  });

  it("is offered only algorithms that tund does not have: it is said", async () => {
    const none = await connect({ Ciphers: "chacha20-poly1305@openssh.com" });
    expect(none.code).toBe(0);
    const macs = await connect({ MACs: "umac-128@openssh.com" });
    expect({ code: macs.code, stderr: macs.stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("MACs names nothing that tund has") as string,
    });
  });

  it("has no common algorithm with the server: both sides are named", async () => {
    const narrow = await startSshd({ config: ["Ciphers aes128-ctr", "MACs umac-128@openssh.com"] });
    onTestFinished(() => narrow.stop());
    await narrow.addHost("narrow", { ConnectTimeout: 5 });
    const daemon = await startTund({ env: { TUND_SSH_CONFIG: narrow.sshConfig } });
    onTestFinished(async () => void (await daemon.stop()));
    const { code, stderr } = await daemon.tunctl(["connect", "narrow"]);
    expect(code).toBe(1);
    expect(stderr).toContain("no algorithm in common");
  });
});

describe("the real ssh's configuration", () => {
  it("is taken whole: options on the command line, a user in the host's name, a URL", async () => {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    const known = await knownHosts(`${where()} ${key("ed25519")}`);
    const options = [
      "-o",
      `UserKnownHostsFile=${known}`,
      "-o",
      "GlobalKnownHostsFile=/dev/null",
      "-i",
      sshd.identity,
    ];
    const empty = join(directory.path, "config");
    await writeFile(empty, "");
    const hosts = [
      ["-p", String(sshd.port), `${sshd.user}@127.0.0.1`],
      [`ssh://${sshd.user}@127.0.0.1:${sshd.port}`],
      ["-4", "-l", sshd.user, "-p", String(sshd.port), "localhost", "-o", "HostKeyAlias=x"],
    ];
    for (const host of hosts.slice(0, 2))
      expect(await tund.tunctl(["connect", "-F", empty, ...options, ...host])).toMatchObject({
        code: 0,
        stderr: "",
      });
    const { stdout } = await tund.tunctl(["status", "--json"]);
    const { masters } = JSON.parse(stdout) as { masters: { names: string[] }[] };
    // Two names of one connection: one master.
    expect(masters.filter(({ names: all }) => all.some((name) => name.startsWith("ssh://")))).toMatchObject([
      { names: [`${sshd.user}@127.0.0.1`, `ssh://${sshd.user}@127.0.0.1:${sshd.port}`] },
    ]);
    expect(await tund.tunctl(["connect", "-F", empty, ...options, ...(hosts[2] ?? [])])).toMatchObject({
      code: 6,
    });
  });
});
