// tunctl trust and tunctl doctor: looking at a host without logging in to it.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Finding, HostKeys } from "../../shared/logins.ts";
import { askpass } from "../support/askpass.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

let sshd: Sshd;
let tund: Tund;
let names = 0;

beforeAll(async () => {
  sshd = await startSshd({ hostKeyTypes: ["ed25519", "ecdsa", "rsa"] });
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
});
afterAll(async () => {
  await tund?.stop();
  await sshd?.stop();
});

/** A host whose known_hosts file has these lines. */
async function hostWith(lines: string[], settings: Record<string, string | number> = {}) {
  const [name, known] = [`h${names++}`, join(sshd.directory, `known-${names}`)];
  await writeFile(known, lines.map((line) => `${line}\n`).join(""));
  await sshd.addHost(name, { UserKnownHostsFile: known, ...settings });
  return { name, known: () => readFile(known, "utf8") };
}

async function fingerprints(): Promise<string[]> {
  const all = sshd.hostKeys.map(
    async ({ path }) => (await run("ssh-keygen", ["-lf", `${path}.pub`])).stdout.split(" ")[1],
  );
  return (await Promise.all(all)).map(String);
}

describe("tunctl trust", () => {
  it("shows all keys of a host with ssh-keygen's fingerprints and records them after a yes, for ssh to find", async () => {
    const { name, known } = await hostWith([]);
    const { env, questions } = await askpass(sshd.directory, ["yes"]);
    const { code, stdout } = await tund.tunctl(["trust", "--json", name], { env });
    expect(code).toBe(0);
    const shown = JSON.parse(stdout) as HostKeys;
    expect(shown.keys.map(({ fingerprint }) => fingerprint).sort()).toEqual((await fingerprints()).sort());
    const [question = ""] = await questions();
    for (const { fingerprint } of shown.keys) expect(question).toContain(fingerprint);
    expect((await known()).trim().split("\n").sort()).toEqual([...sshd.hostKeyLines].sort());
    const ssh = await run("ssh", ["-F", sshd.sshConfig, "-o", "StrictHostKeyChecking=yes", name, "true"]);
    expect(ssh.code).toBe(0);
    expect(await tund.tunctl(["trust", name])).toMatchObject({ code: 0, stdout: "" }); // nothing new
  });

  it("records the one key whose fingerprint is given, and nothing for another one", async () => {
    const { name, known } = await hostWith([]);
    const [first = ""] = await fingerprints();
    const wrong = await tund.tunctl(["trust", "--fingerprint", `SHA256:${"A".repeat(43)}`, name]);
    expect(wrong.code).toBe(6);
    expect(wrong.stderr).toContain(first);
    expect(await known()).toBe("");
    expect(await tund.tunctl(["trust", "--fingerprint", first, name])).toMatchObject({ code: 0 });
    expect(await known()).toBe(`${sshd.hostKeyLines[0]}\n`);
  });

  it("records nothing without a yes, nor when a key has changed", async () => {
    const fresh = await hostWith([]);
    const nobody = await tund.tunctl(["trust", fresh.name]);
    expect(nobody).toMatchObject({
      code: 6,
      stderr: expect.stringContaining("give --fingerprint") as string,
    });
    const { env } = await askpass(sshd.directory, ["no"]);
    expect(await tund.tunctl(["trust", fresh.name], { env })).toMatchObject({ code: 6 });
    expect(await fresh.known()).toBe("");
    const stranger = await makeKey(join(sshd.directory, `stranger-${names++}`), "ed25519");
    const line = `[127.0.0.1]:${sshd.port} ${stranger.publicKey}`;
    const changed = await hostWith([line]);
    const refused = await tund.tunctl(["trust", changed.name], {
      env: (await askpass(sshd.directory, ["yes"])).env,
    });
    expect(refused.code).toBe(6);
    expect(refused.stderr).toContain("ssh-keygen -R");
    expect(await changed.known()).toBe(`${line}\n`);
  });

  it("lets a master go on that was blocked for want of it", async () => {
    const { name } = await hostWith([]);
    const [first = ""] = await fingerprints();
    expect(
      await tund.tunctl(["forward", "--no-wait", "-L", `${await freePort()}:127.0.0.1:1`, name]),
    ).toMatchObject({ code: 0 });
    const state = async () => (await tund.tunctl(["status", "--json", name])).stdout;
    await eventually(async () => expect(await state()).toContain('"state": "blocked"'));
    expect(await tund.tunctl(["trust", "--fingerprint", first, name])).toMatchObject({ code: 0 });
    expect(await tund.tunctl(["wait", "--timeout", "10", name])).toMatchObject({ code: 0 });
    await tund.tunctl(["exit", name]);
  });

  it("looks at a host behind another one", async () => {
    const inner = await startSshd();
    onTestFinished(() => inner.stop());
    const { name, known } = await hostWith([], { ProxyJump: "testhost", Port: inner.port });
    const { env } = await askpass(sshd.directory, ["yes"]);
    expect(await tund.tunctl(["trust", name], { env })).toMatchObject({ code: 0, stderr: "" });
    expect(await known()).toBe(`${inner.hostKeyLines[0]}\n`);
    await eventually(async () => expect((await tund.tunctl(["status", "testhost"])).code).toBe(4)); // the hop is gone again
  });
});

describe("tunctl doctor", () => {
  async function findings(...args: string[]): Promise<{ code: number | null; all: Finding[] }> {
    const { code, stdout } = await tund.tunctl(["doctor", "--json", ...args]);
    return { code, all: (JSON.parse(stdout) as { findings: Finding[] }).findings };
  }
  const levels = (all: readonly Finding[]) =>
    Object.fromEntries(all.map(({ subject, level }) => [subject, level]));

  it("finds nothing wrong with a daemon and a host that are well, and logs in to nothing", async () => {
    const before = sshd.log().match(/Accepted publickey/g)?.length ?? 0;
    const { code, all } = await findings("testhost");
    expect(code).toBe(0);
    expect(levels(all)).toMatchObject({
      tund: "ok",
      socket: "ok",
      state: "ok",
      config: "ok",
      identity: "ok",
      server: "ok",
      "host key": "ok",
      authentication: "ok",
    });
    expect(sshd.log().match(/Accepted publickey/g)?.length ?? 0).toBe(before);
    const { stdout } = await tund.tunctl(["doctor"]);
    expect(stdout).toMatch(/^ok +socket +\S+ is private \(0700\)$/m);
  });

  it.each<[string, () => Promise<Record<string, string | number>>, string, RegExp]>([
    [
      "nobody listens",
      async () => ({ Port: await freePort() }),
      "server",
      /connection refused; .*HostName and Port/,
    ],
    [
      "the host key is unknown",
      async () => ({ UserKnownHostsFile: "/dev/null" }),
      "host key",
      /is not known; next: tunctl trust h/,
    ],
    [
      "there is no key to offer",
      async () => ({ IdentityFile: "none", PreferredAuthentications: "publickey" }),
      "authentication",
      /there is nothing to give it/,
    ],
    [
      "nothing common is left",
      async () => ({ HostKeyAlgorithms: "ssh-dss" }),
      "server",
      /no algorithm in common: .*it offers .*; tund offers ssh-dss; next: allow what the server offers/,
    ],
    [
      "the name does not resolve",
      async () => ({ HostName: "no-such-host.invalid" }),
      "server",
      /cannot resolve no-such-host\.invalid/,
    ],
  ])("says so when %s, and what to do", async (_, settings, subject, text) => {
    const name = `h${names++}`;
    await sshd.addHost(name, await settings());
    const { code, all } = await findings(name);
    expect(code).toBe(1);
    const found = all.find((one) => one.subject === subject && one.level === "problem");
    expect(`${found?.message}; next: ${found?.next}`).toMatch(text);
    expect(found?.next).not.toBeNull();
  });

  it("looks at every host on the way, and says which one is in the way", async () => {
    const inner = await startSshd();
    onTestFinished(() => inner.stop());
    const [edge, behind, lost] = [`h${names++}`, `h${names++}`, `h${names++}`];
    await sshd.addHost(edge, { ServerAliveInterval: 33 });
    await sshd.addHost(behind, { ProxyJump: edge, Port: inner.port, UserKnownHostsFile: inner.knownHosts });
    await sshd.addHost(lost, { ProxyJump: `${edge},${behind}`, Port: await freePort() });
    const { all } = await findings(behind);
    expect(levels(all)).toMatchObject({
      [`${edge}: server`]: "ok",
      [`${edge}: host key`]: "ok",
      server: "ok",
      "host key": "ok",
    });
    const deep = await findings(lost);
    expect(deep.code).toBe(1);
    expect(deep.all.find(({ subject }) => subject === "server")?.message).toContain(
      `by way of ${edge},${behind}: authentication failed`,
    );
    expect(levels(deep.all)).toMatchObject({
      [`${edge}: server`]: "ok",
      [`${edge},${behind}: server`]: "ok",
    });
  });

  it("sends no secret, and names what is missing of an identity", async () => {
    const locked = await makeKey(join(sshd.directory, `locked-${names++}`), "ed25519", "secret");
    const name = `h${names++}`;
    await sshd.addHost(name, {
      IdentityFile: locked.path,
      ProxyCommand: "nc 127.0.0.1 %p",
      CertificateFile: "/nonexistent/cert",
    });
    const { all } = await findings(name);
    expect(all).toContainEqual(
      expect.objectContaining({ subject: "way", message: expect.stringContaining("ProxyCommand") as string }),
    );
    expect(
      all
        .filter(({ subject }) => subject === "identity")
        .map(({ message }) => message)
        .join("\n"),
    ).toContain("/nonexistent/cert");
  });
});
