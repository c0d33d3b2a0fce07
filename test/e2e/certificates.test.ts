// Certificates of users, and security keys: whatever the real ssh takes or refuses, tund does.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type Agent, startAgent } from "../support/agent.ts";
import { askpass } from "../support/askpass.ts";
import { besideSsh } from "../support/beside-ssh.ts";
import { Authorities, certify, type Signing } from "../support/certificates.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { run } from "../support/run.ts";
import { startSecurityKey } from "../support/security-key.ts";
import { type Key, makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

const { types } = Authorities;

let sshd: Sshd;
let tund: Tund;
let names = 0;
const authorities = new Authorities();
const authority = (type: Key["type"] = "ed25519"): Key => authorities.of(type);

beforeAll(async () => {
  sshd = await startSshd({
    config: (directory) => [`TrustedUserCAKeys ${join(directory, "authorities")}`],
    authorizedKeys: () => [],
    hostKeyTypes: types,
    prepare: async (directory) => {
      await authorities.make(directory);
      const lines = types.map((type) => `${authority(type).publicKey}\n`);
      await writeFile(join(directory, "authorities"), lines.join(""));
    },
  });
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
});
afterAll(async () => {
  await tund?.stop();
  await sshd?.stop();
});

const verdicts = (
  settings: Record<string, string | number>,
  on: { sshd: Sshd; tund: Tund } = { sshd, tund },
) => besideSsh(settings, on);

const newKey = (type: Key["type"]) => makeKey(join(sshd.directory, `key-${names++}`), type);
const me = () => ({ principals: [sshd.user] });

describe("a user's certificate", () => {
  it.each(types.flatMap((key) => types.map((by) => [key, by] as const)))(
    "of a key of type %s, by an authority of type %s, logs in",
    async (type, by) => {
      const key = await newKey(type);
      const certificate = await certify(authority(by), key, {
        ...me(),
        to: join(sshd.directory, `c${names++}.pub`),
      });
      expect(await verdicts({ IdentityFile: key.path })).toMatchObject({ isIn: false });
      expect(await verdicts({ IdentityFile: key.path, CertificateFile: certificate })).toMatchObject({
        isIn: true,
      });
    },
  );

  it("is found beside its key", async () => {
    const key = await newKey("ed25519");
    await certify(authority(), key, me());
    expect(await verdicts({ IdentityFile: key.path })).toMatchObject({ isIn: true });
  });

  it.each<[string, Signing]>([
    ["is for somebody else", { principals: ["somebody"] }],
    ["has expired", { principals: ["root"], validity: "20200101:20200102" }],
    ["is a host's", { principals: ["root"], isHost: true }],
  ])("that %s does not log in, and is named", async (_, signing) => {
    const key = await newKey("ed25519");
    await certify(authority(), key, signing);
    const { isIn, code, said } = await verdicts({ IdentityFile: key.path });
    expect({ isIn, code }).toEqual({ isIn: false, code: 7 });
    expect(said).toContain(key.path);
  });

  it("comes from an agent, or has an agent sign for it", async () => {
    const [agent, plain] = [await startAgent(), await startAgent()];
    onTestFinished(async () => void (await Promise.all([agent.stop(), plain.stop()])));
    const [key, other] = [await newKey("rsa"), await newKey("ecdsa")];
    await certify(authority(), key, me());
    await agent.add(key.path); // the certificate goes with it
    expect(
      await verdicts({ IdentityFile: "none", IdentityAgent: agent.socket, IdentitiesOnly: "no" }),
    ).toMatchObject({ isIn: true });
    await plain.add(other.path);
    const to = join(sshd.directory, `c${names++}.pub`);
    const certificate = await certify(authority(), other, { ...me(), to });
    const settings = { IdentityFile: "none", IdentityAgent: plain.socket, IdentitiesOnly: "no" };
    expect(await verdicts({ ...settings, CertificateFile: certificate })).toMatchObject({ isIn: true });
    expect(await verdicts(settings)).toMatchObject({ isIn: false });
  });
});

describe("keys", () => {
  it("of PubkeyAcceptedAlgorithms alone are offered", async () => {
    const key = await newKey("rsa");
    const server = await startSshd({ authorizedKeys: () => [key.publicKey] });
    onTestFinished(() => server.stop());
    const daemon = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
    onTestFinished(async () => void (await daemon.stop()));
    const on = { sshd: server, tund: daemon };
    expect(await verdicts({ IdentityFile: key.path }, on)).toMatchObject({ isIn: true });
    expect(
      await verdicts({ IdentityFile: key.path, PubkeyAcceptedAlgorithms: "rsa-sha2-256" }, on),
    ).toMatchObject({ isIn: true });
    const none = await verdicts({ IdentityFile: key.path, PubkeyAcceptedAlgorithms: "ssh-ed25519" }, on);
    expect(none).toMatchObject({ isIn: false, code: 7 });
    expect(none.said).toContain("no signature algorithm for it is accepted on both sides");
  });

  it("two of them are given to a server that wants two, which the same one twice does not satisfy", async () => {
    const [one, other] = [await newKey("ed25519"), await newKey("ecdsa")];
    const server = await startSshd({
      config: ["AuthenticationMethods publickey,publickey", "MaxAuthTries 3"],
      authorizedKeys: () => [one.publicKey, other.publicKey],
    });
    onTestFinished(() => server.stop());
    const daemon = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
    onTestFinished(async () => void (await daemon.stop()));
    await server.addHost("two", { IdentityFile: `${one.path}\n  IdentityFile ${other.path}` });
    expect(await daemon.tunctl(["connect", "two"])).toMatchObject({ code: 0, stderr: "" });
    await server.addHost("one", { IdentityFile: one.path });
    expect(await daemon.tunctl(["connect", "one"])).toMatchObject({ code: 7 });
  });

  it("are offered as long as the server allows: then it is told which were tried, and what to do", async () => {
    const agent = await startAgent();
    onTestFinished(() => agent.stop());
    const wrong = await Promise.all([0, 1, 2].map(() => newKey("ed25519")));
    for (const key of wrong) await agent.add(key.path);
    const server = await startSshd({ config: ["MaxAuthTries 2"] });
    onTestFinished(() => server.stop());
    const daemon = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
    onTestFinished(async () => void (await daemon.stop()));
    const settings = { IdentityAgent: agent.socket, IdentitiesOnly: "no" };
    const { isIn, code, said } = await verdicts(settings, { sshd: server, tund: daemon });
    expect({ isIn, code }).toEqual({ isIn: false, code: 7 });
    expect(said.match(/agent key test \(ED25519 SHA256:/g)).toHaveLength(2);
    expect(said).toContain("the server allows no more tries: set IdentitiesOnly and IdentityFile");
  });

  it("of a security key log in through the agent, and whoever waits is told to touch it", async () => {
    const token = await startSecurityKey();
    onTestFinished(() => token.stop());
    const server = await startSshd({ authorizedKeys: () => [token.publicKey] });
    onTestFinished(() => server.stop());
    const daemon = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
    onTestFinished(async () => void (await daemon.stop()));
    const settings = { IdentityFile: "none", IdentityAgent: token.socket, IdentitiesOnly: "no" };
    expect(await verdicts(settings, { sshd: server, tund: daemon })).toMatchObject({ isIn: true });
    await server.addHost("touched", { ...settings, ServerAliveInterval: 9 });
    const { env } = await askpass(server.directory, []); // somebody is there, and has nothing to answer
    const { stderr } = await daemon.tunctl(["connect", "touched"], { env });
    expect(stderr).toMatch(/^Confirm user presence for key ED25519-SK SHA256:\S+\n$/);
  });

  it("that an agent keeps for one host alone are given to it, and to no other", async () => {
    const agent: Agent = await startAgent();
    onTestFinished(() => agent.stop());
    const key = await newKey("ed25519");
    const servers = await Promise.all([0, 1].map(() => startSshd({ authorizedKeys: () => [key.publicKey] })));
    onTestFinished(async () => void (await Promise.all(servers.map((server) => server.stop()))));
    const [mine, other] = servers as [Sshd, Sshd];
    const constraint = ["-q", "-H", mine.knownHosts, "-h", `[127.0.0.1]:${mine.port}`, key.path];
    expect(
      await run("ssh-add", constraint, { env: { PATH: process.env["PATH"], SSH_AUTH_SOCK: agent.socket } }),
    ).toMatchObject({ code: 0 });
    for (const [server, isIn] of [
      [mine, true],
      [other, false],
    ] as const) {
      const daemon = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
      onTestFinished(async () => void (await daemon.stop()));
      const settings = { IdentityFile: "none", IdentityAgent: agent.socket, IdentitiesOnly: "no" };
      expect(await verdicts(settings, { sshd: server, tund: daemon })).toMatchObject({ isIn });
    }
  });
});
