// Identities with a passphrase: what opens them, where their keys are meanwhile, and for how long.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Master } from "../../shared/records.ts";
import { askpass } from "../support/askpass.ts";
import { certify } from "../support/certificates.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type LoginServer, startLoginServer } from "../support/login-server.ts";
import { makePath, type Path, type Scripts } from "../support/path.ts";
import { memoryHas } from "../support/process-memory.ts";
import { descendantsNamed, living, signal } from "../support/process-tree.ts";
import { run } from "../support/run.ts";
import { type Key, makeKey, seedOf } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp-dir.ts";

const SECRET = "correct horse battery staple";

let sshd: Sshd;
let locked: Key;
let authority: Key;
let names = 0;

beforeAll(async () => {
  sshd = await startSshd({
    config: (directory) => [`TrustedUserCAKeys ${join(directory, "authority.pub")}`, "MaxStartups 100"],
    authorizedKeys: (key) => [key, locked.publicKey],
    prepare: async (directory) => {
      locked = await makeKey(join(directory, "locked"), "ed25519", SECRET);
      authority = await makeKey(join(directory, "authority"), "ed25519");
    },
  });
});
afterAll(() => sshd?.stop());

async function startDaemon(sshConfig = sshd.sshConfig, env: Record<string, string> = {}): Promise<Tund> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshConfig, ...env } });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

/** This server under a name of its own. */
async function host(settings: Record<string, string | number>): Promise<string> {
  const name = `h${names++}`;
  await sshd.addHost(name, settings);
  return name;
}

/** An sshd that takes this key. */
async function serverFor(key: Key, settings: Record<string, string> = {}): Promise<Sshd> {
  const server = await startSshd({ authorizedKeys: () => [key.publicKey] });
  onTestFinished(() => server.stop());
  await server.addHost("it", { IdentityFile: `"${key.path}"`, ...settings });
  return server;
}

async function master(tund: Tund, name: string): Promise<Master> {
  const { stdout } = await tund.tunctl(["status", "--json", name]);
  const [found] = (JSON.parse(stdout) as { masters: Master[] }).masters;
  if (found === undefined) throw new Error(`no master for ${name}`);
  return found;
}

/** tund's own agents that live. */
const agentsOf = ({ pid }: Tund): number[] => descendantsNamed(pid, "ssh-agent");

async function pathWith(scripts: Scripts): Promise<Path> {
  const path = await makePath(["ssh", "sh", "ssh-add", "ssh-agent", "node"], scripts);
  onTestFinished(() => path.remove());
  return path;
}

/** A server that asks for a key and then a code: a login can be looked at in its middle. */
async function serverInTwoSteps(): Promise<LoginServer> {
  const server = await startLoginServer({
    factors: ["publickey", "keyboard-interactive"],
    rounds: [{ prompts: [{ prompt: "Code: ", echo: true }], answers: ["42"] }],
  });
  onTestFinished(() => server.stop());
  await server.addHost("steps", { IdentityFile: locked.path });
  return server;
}

describe("while its login lasts, the key of an encrypted identity", () => {
  it("is in an agent of tund's own and never in tund's memory; the agent ends with the login", async () => {
    const server = await serverInTwoSteps();
    const tund = await startDaemon(server.sshConfig);
    const { env, questions } = await askpass(server.directory, [SECRET]);
    // The code is asked at a pipe that stays open: nobody answers until we do.
    const gate = join(server.directory, "gate");
    await run("mkfifo", [gate]);
    await writeFile(
      env.SSH_ASKPASS,
      (await readFile(env.SSH_ASKPASS, "utf8")).replace(
        "head -n 1",
        `case "$1" in *Code*) cat ${gate}; exit;; esac; head -n 1`,
      ),
    );
    const connecting = tund.tunctl(["connect", "steps"], { env });
    await eventually(async () => expect(await questions()).toHaveLength(2));
    expect(agentsOf(tund)).toHaveLength(1);
    const seed = await seedOf(locked, SECRET);
    expect(await memoryHas(tund.pid, locked.blob.subarray(-32))).not.toBe(false); // what is there is found
    expect(await memoryHas(tund.pid, seed)).not.toBe(true);
    await writeFile(gate, "42\n");
    expect(await connecting).toMatchObject({ code: 0 });
    await eventually(() => expect(agentsOf(tund)).toEqual([]));
    expect(tund.log()).not.toContain("without ssh-add");
  });

  it("goes with tund, even if that is killed", async () => {
    const tund = await startDaemon();
    const name = await host({ IdentityFile: locked.path });
    const { env } = await askpass(sshd.directory, [SECRET]);
    expect(await tund.tunctl(["connect", "--remember", name], { env })).toMatchObject({ code: 0 });
    const agents = agentsOf(tund);
    expect(agents).toHaveLength(1);
    await tund.stop("SIGKILL");
    await eventually(() => expect(living(agents)).toEqual([]));
  });
});

describe("with --remember the open key", () => {
  it("serves the next login, with nobody there and no passphrase kept, until exit", async () => {
    const tund = await startDaemon();
    const name = await host({ IdentityFile: locked.path });
    const { env, questions } = await askpass(sshd.directory, [SECRET]);
    expect(await tund.tunctl(["connect", "--remember", name], { env })).toMatchObject({ code: 0 });
    sshd.dropSessions();
    await eventually(
      async () => expect(await master(tund, name)).toMatchObject({ state: "ready", reconnects: 1 }),
      { deadlineMs: 15_000 },
    );
    expect(await questions()).toHaveLength(1);
    expect(agentsOf(tund)).toHaveLength(1);
    expect(await tund.tunctl(["exit", name])).toMatchObject({ code: 0 });
    await eventually(() => expect(agentsOf(tund)).toEqual([]));
  });

  it("is asked for again when the agent has died", async () => {
    const tund = await startDaemon();
    const name = await host({ IdentityFile: locked.path });
    const { env, questions } = await askpass(sshd.directory, [SECRET, SECRET]);
    expect(await tund.tunctl(["connect", "--remember", name], { env })).toMatchObject({ code: 0 });
    for (const pid of agentsOf(tund)) signal(pid, "SIGKILL");
    sshd.dropSessions();
    await eventually(async () => expect((await master(tund, name)).state).toBe("blocked"), {
      deadlineMs: 15_000,
    });
    expect(await tund.tunctl(["connect", name], { env })).toMatchObject({ code: 0 });
    expect(await questions()).toHaveLength(2);
  });

  it("leaves the agent at its host's exit, and those of others stay", async () => {
    const other = await makeKey(join(sshd.directory, `other-${names++}`), "ecdsa", SECRET);
    const server = await serverFor(other);
    const place = await tempDir();
    onTestFinished(() => place.remove());
    const both = join(place.path, "config");
    await writeFile(both, `Include ${sshd.sshConfig}\nInclude ${server.sshConfig}\n`);
    const name = await host({ IdentityFile: locked.path });
    const tund = await startDaemon(both);
    const { env } = await askpass(sshd.directory, [SECRET, SECRET]);
    for (const one of [name, "it"])
      expect(await tund.tunctl(["connect", "--remember", one], { env })).toMatchObject({ code: 0 });
    const held = async (): Promise<string> => {
      const [socket = ""] = await readdir(join(tund.home, "run", "tund", "tund.sock.agent"));
      const SSH_AUTH_SOCK = join(tund.home, "run", "tund", "tund.sock.agent", socket);
      return (await run("ssh-add", ["-L"], { env: { PATH: process.env["PATH"], SSH_AUTH_SOCK } })).stdout;
    };
    expect(await held()).toContain(other.publicKey);
    expect(await held()).toContain(locked.publicKey);
    expect(await tund.tunctl(["exit", "it"])).toMatchObject({ code: 0 });
    await eventually(async () => expect(await held()).not.toContain(other.publicKey));
    expect(await held()).toContain(locked.publicKey);
  });
});

it("an identity that twelve hosts need at once is opened once, and each of their callers is asked", async () => {
  const { PATH, at } = await pathWith({ "ssh-add": 'echo run >> "$0.runs"\nexec REAL "$@"' });
  const tund = await startDaemon(sshd.sshConfig, { PATH });
  const hosts: string[] = [];
  // Each is another connection only if something that decides it is different.
  for (let i = 0; i < 12; i++)
    hosts.push(await host({ IdentityFile: locked.path, ServerAliveInterval: 100 + i }));
  const asked = await Promise.all(
    hosts.map(async (name) => {
      const { env, questions } = await askpass(sshd.directory, [SECRET]);
      expect(await tund.tunctl(["connect", name], { env })).toMatchObject({ code: 0 });
      return questions();
    }),
  );
  expect(asked).toEqual(hosts.map(() => [`Enter passphrase for key '${locked.path}': `]));
  const runs = (await readFile(join(at, "ssh-add.runs"), "utf8")).trim().split("\n").length;
  expect(runs).toBeLessThan(12);
  await eventually(() => expect(agentsOf(tund)).toEqual([]));
});

describe("an encrypted identity is opened", () => {
  it.each([
    ["rsa", []],
    ["ecdsa", []],
    ["rsa", ["-m", "PEM"]],
    ["rsa", ["-m", "PKCS8"]], // which ssh2's parser does not know
  ] as const)("of type %s, written with %j", async (type, format) => {
    const key = await makeKey(join(sshd.directory, `type-${names++}`), type, SECRET);
    if (format.length > 0)
      await run("ssh-keygen", ["-q", "-p", "-P", SECRET, "-N", SECRET, ...format, "-f", key.path]);
    const server = await serverFor(key);
    const tund = await startDaemon(server.sshConfig);
    const { env } = await askpass(server.directory, ["wrong", SECRET]);
    expect(await tund.tunctl(["connect", "it"], { env })).toMatchObject({ code: 0 });
    expect(tund.log()).not.toContain("without ssh-add");
  });

  it("whatever its path and its passphrase are made of", async () => {
    const place = join(sshd.directory, "-a 'b' $c é;*");
    await mkdir(place);
    const secret = "āăΨ\u0081 \\n%s'\"$(x)`y`";
    const key = await makeKey(join(place, "-k  y"), "ed25519", secret);
    const server = await serverFor(key);
    const tund = await startDaemon(server.sshConfig);
    const { env } = await askpass(server.directory, [secret]);
    expect(await tund.tunctl(["connect", "it"], { env })).toMatchObject({ code: 0 });
    expect(tund.log()).not.toContain("without ssh-add");
  });

  it("for the certificate beside it", async () => {
    const key = await makeKey(join(sshd.directory, `certified-${names++}`), "ed25519", SECRET);
    await certify(authority, key, { principals: [sshd.user] });
    const name = await host({ IdentityFile: key.path });
    const tund = await startDaemon();
    const { env } = await askpass(sshd.directory, [SECRET]);
    expect(await tund.tunctl(["connect", name], { env })).toMatchObject({ code: 0 });
    await eventually(() => expect(agentsOf(tund)).toEqual([]));
  });

  it("by an ssh-add that has not heard of SSH_ASKPASS_REQUIRE", async () => {
    const { PATH } = await pathWith({ "ssh-add": 'unset SSH_ASKPASS_REQUIRE\nexec REAL "$@"' });
    const tund = await startDaemon(sshd.sshConfig, { PATH });
    const name = await host({ IdentityFile: locked.path });
    const { env } = await askpass(sshd.directory, ["wrong", SECRET]);
    expect(await tund.tunctl(["connect", name], { env })).toMatchObject({ code: 0 });
    expect(tund.log()).not.toContain("without ssh-add");
  });

  it.each([
    ["there is no ssh-agent", { "ssh-agent": null }],
    ["there is no ssh-add", { "ssh-add": null }],
    ["ssh-agent does not start", { "ssh-agent": "exit 3" }],
    ["ssh-add does not work", { "ssh-add": "echo broken >&2; exit 1" }],
  ] as const)("by tund itself where %s, and doctor tells what is not there", async (_, scripts) => {
    const { PATH, at } = await pathWith(scripts);
    const gone = Object.values(scripts).includes(null);
    const told = gone
      ? /identities +there is no ssh-(add|agent) on tund's PATH/
      : /identities +ssh-add opens those/;
    const tund = await startDaemon(sshd.sshConfig, { PATH: gone ? at : PATH });
    const name = await host({ IdentityFile: locked.path });
    const { env, questions } = await askpass(sshd.directory, ["wrong", SECRET]);
    const path = { PATH: process.env["PATH"] ?? "" };
    expect(await tund.tunctl(["connect", name], { env: { ...env, ...path } })).toMatchObject({ code: 0 });
    expect(await questions()).toEqual([
      `Enter passphrase for key '${locked.path}': `,
      `Bad passphrase, try again for ${locked.path}: `,
    ]);
    expect(tund.log()).toContain("identity opened without ssh-add");
    expect(tund.log()).not.toContain(SECRET);
    const { stdout } = await tund.tunctl(["doctor"]);
    expect(stdout).toMatch(told);
  });
});

it("an identity whose public half its passphrase alone tells is opened without OpenSSH's tools, too", async () => {
  const key = await makeKey(join(sshd.directory, `halfless-${names++}`), "rsa", SECRET);
  await run("ssh-keygen", ["-q", "-p", "-P", SECRET, "-N", SECRET, "-m", "PKCS8", "-f", key.path]);
  await run("rm", [`${key.path}.pub`]);
  const server = await startSshd({ authorizedKeys: () => [key.publicKey] });
  onTestFinished(() => server.stop());
  await server.addHost("it", { IdentityFile: key.path });
  const tund = await startDaemon(server.sshConfig, { PATH: (await pathWith({ "ssh-add": null })).at });
  const { env } = await askpass(sshd.directory, ["wrong", SECRET]);
  const all = { ...env, PATH: process.env["PATH"] ?? "" };
  expect(await tund.tunctl(["connect", "it"], { env: all })).toMatchObject({ code: 0 });
});

it("a file that is larger than any key is not read", async () => {
  const path = join(sshd.directory, `large-${names++}`);
  await writeFile(path, Buffer.alloc((64 << 10) + 1, "a"), { mode: 0o600 });
  const tund = await startDaemon();
  for (const [IdentityFile, why] of [
    [path, "it is larger than 64 KiB"],
    ["/dev/zero", "it is a device, not a regular file"],
  ] as const)
    expect((await tund.tunctl(["connect", await host({ IdentityFile })])).stderr).toContain(
      `${IdentityFile}: ${why}`,
    );
});
