// Logins that want more than a key, or more time than any deadline of ours: by the built programs, beside the real ssh.
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Finding } from "../../shared/logins.ts";
import { startAskingAgent } from "../support/asking-agent.ts";
import { askpass } from "../support/askpass.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { proxyTo, startGate } from "../support/gate.ts";
import { type LoginServer, startLoginServer } from "../support/login-server.ts";
import { run } from "../support/run.ts";
import { makeKey } from "../support/ssh-key.ts";
import { type Sshd, type SshdOptions, startSshd } from "../support/sshd.ts";

async function startServer(options: SshdOptions = {}): Promise<Sshd> {
  const sshd = await startSshd(options);
  onTestFinished(() => sshd.stop());
  return sshd;
}

async function startDaemon(sshConfig: string): Promise<Tund> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshConfig } });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

/** Until so many milliseconds are over: what is to be shown is that a deadline of ours is not there. */
async function past(ms: number): Promise<void> {
  const end = performance.now() + ms;
  await eventually(() => performance.now() >= end, { deadlineMs: ms + 10_000 });
}

describe("a login that takes longer than ConnectTimeout", () => {
  it("goes on while an agent asks somebody, as ssh's does", async () => {
    const [sshd, agent] = await Promise.all([startServer(), startAskingAgent()]);
    onTestFinished(() => agent.stop());
    await agent.add(sshd.identity);
    await sshd.addHost("asked", {
      IdentityFile: "none",
      IdentitiesOnly: "no",
      IdentityAgent: agent.socket,
      ConnectTimeout: 1,
    });
    const tund = await startDaemon(sshd.sshConfig);
    agent.hold("sign");
    const ours = tund.tunctl(["connect", "asked"]);
    const theirs = run("ssh", ["-F", sshd.sshConfig, "-S", "none", "-o", "BatchMode=yes", "asked", "true"]);
    await eventually(() => agent.asked.filter((one) => one === "sign").length === 2, { deadlineMs: 60_000 });
    await past(1500);
    agent.agree();
    expect(await ours).toMatchObject({ code: 0, stderr: "" });
    expect(await theirs).toMatchObject({ code: 0 });
  });

  it("ends by it behind a ProxyCommand that says nothing, as ssh's does", async () => {
    const sshd = await startServer();
    const gate = await startGate(sshd.port);
    onTestFinished(() => gate.stop());
    await sshd.addHost("silent", { ProxyCommand: proxyTo(gate.port), ConnectTimeout: 1 });
    const tund = await startDaemon(sshd.sshConfig);
    const [ours, theirs] = await Promise.all([
      tund.tunctl(["connect", "silent"]),
      run("ssh", ["-F", sshd.sshConfig, "-o", "BatchMode=yes", "silent", "true"]),
    ]);
    expect(ours).toMatchObject({
      code: 8,
      stderr: expect.stringContaining("no SSH version within 1 s") as string,
    });
    expect(theirs).toMatchObject({ code: 255, stderr: expect.stringContaining("timed out") as string });
  });
});

describe("a server that takes a key and wants more", () => {
  const authentication = async (tund: Tund, host: string): Promise<Finding | undefined> => {
    const { stdout } = await tund.tunctl(["doctor", "--json", host]);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    return findings.find(({ subject }) => subject === "authentication");
  };

  async function wantsCode(): Promise<LoginServer> {
    const server = await startLoginServer({
      factors: ["publickey", "keyboard-interactive"],
      rounds: [{ prompts: [{ prompt: "Code: ", echo: true }], answers: ["42"] }],
    });
    onTestFinished(() => server.stop());
    const key = await makeKey(join(server.directory, "id"), "ed25519");
    await server.addHost("both", { IdentityFile: key.path });
    return server;
  }

  it("is told as one that accepted the key, and doctor knows it from then on", async () => {
    const server = await wantsCode();
    const tund = await startDaemon(server.sshConfig);
    expect(await authentication(tund, "both")).toMatchObject({
      level: "ok",
      message: expect.stringContaining("only a login tells whether it wants more than a key") as string,
    });
    const { code, stderr } = await tund.tunctl(["connect", "both"]);
    expect(code).toBe(7);
    expect(stderr).toMatch(
      /authentication failed at alice@127\.0\.0\.1:\d+: key accepted; the server also wants keyboard-interactive; it needs answers/,
    );
    expect(stderr).not.toContain("refused");
    expect(await authentication(tund, "both")).toMatchObject({
      level: "note",
      message: expect.stringContaining("key accepted; the server also wants keyboard-interactive") as string,
      next: "tunctl connect both",
    });
    // With the code it is in, and a login will want it again.
    const { env } = await askpass(server.directory, ["42"]);
    expect(await tund.tunctl(["connect", "both"], { env })).toMatchObject({ code: 0 });
    expect(await authentication(tund, "both")).toMatchObject({ level: "note" });
    // Until a key is enough.
    server.factors.pop();
    expect(await tund.tunctl(["reconnect", "both"])).toMatchObject({ code: 0 });
    expect(await authentication(tund, "both")).toMatchObject({ level: "ok" });
  });

  it("is told as that when the answer is wrong, which alone is named as refused", async () => {
    const server = await wantsCode();
    const tund = await startDaemon(server.sshConfig);
    const { env } = await askpass(server.directory, ["41", "41", "41"]);
    const { code, stderr } = await tund.tunctl(["connect", "both"], { env });
    expect(code).toBe(7);
    expect(stderr).toMatch(
      /key accepted; the server also wants keyboard-interactive; refused: keyboard-interactive/,
    );
    expect(stderr).not.toContain("SHA256:");
  });

  it("is told as that by OpenSSH's server too, and where nobody may be asked", async () => {
    const sshd = await startServer({
      config: ["AuthenticationMethods publickey,password", "PasswordAuthentication yes"],
    });
    await sshd.addHost("batch", { BatchMode: "yes" });
    const tund = await startDaemon(sshd.sshConfig);
    const { code, stderr } = await tund.tunctl(["connect", "batch"]);
    expect(code).toBe(7);
    expect(stderr).toMatch(/: key accepted; the server also wants password$/m);
  });
});
