// What a login needs of a person: asked at a terminal or by an askpass program, and beside the real ssh.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Master } from "../../shared/records.ts";
import { startAgent } from "../support/agent.ts";
import { askpass } from "../support/askpass.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type LoginServer, type LoginServerOptions, startLoginServer } from "../support/login-server.ts";
import { run } from "../support/run.ts";
import { type Key, makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { noTerminal } from "../support/terminal.ts";

const SECRET = "correct horse battery staple";

let sshd: Sshd;
let locked: Key;

beforeAll(async () => {
  sshd = await startSshd({
    authorizedKeys: (key) => [key, locked.publicKey],
    prepare: async (directory) => void (locked = await makeKey(join(directory, "locked"), "ed25519", SECRET)),
  });
});
afterAll(() => sshd?.stop());

async function startDaemon(sshConfig: string, env: Record<string, string> = {}): Promise<Tund> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshConfig, ...env } });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

async function startServer(options: LoginServerOptions): Promise<LoginServer> {
  const server = await startLoginServer(options);
  onTestFinished(() => server.stop());
  return server;
}

async function master(tund: Tund, host: string): Promise<Master> {
  const { stdout } = await tund.tunctl(["status", "--json", host]);
  const [found] = (JSON.parse(stdout) as { masters: Master[] }).masters;
  if (found === undefined) throw new Error(`no master for ${host}`);
  return found;
}

/** Has tunctl and ssh log in to the same host with the same answers: both are to ask the same questions. */
async function besideSsh(server: { sshConfig: string; directory: string }, host: string, answers: string[]) {
  const [ours, theirs] = [await askpass(server.directory, answers), await askpass(server.directory, answers)];
  const tund = await startDaemon(server.sshConfig);
  const outcome = await tund.tunctl(["connect", host], { env: ours.env });
  const args = ["-F", server.sshConfig, "-W", "127.0.0.1:1", host];
  const ssh = await run("ssh", args, { env: { PATH: process.env["PATH"], ...theirs.env } });
  const questions = await ours.questions();
  expect(questions).toEqual(await theirs.questions());
  return { outcome, questions, ssh, tund };
}

describe.skipIf(noTerminal !== null)("at a terminal", () => {
  if (noTerminal !== null) console.warn(`skipped: prompts at a terminal: ${noTerminal}`);

  it("a passphrase is asked for unseen, again when it is wrong, and is nowhere to be found afterwards", async () => {
    await sshd.addHost("locked", { IdentityFile: locked.path });
    const tund = await startDaemon(sshd.sshConfig, { TUND_LOG_LEVEL: "debug" });
    const tunctl = tund.atTerminal(["connect", "locked"]);
    await tunctl.shows(`Enter passphrase for key '${locked.path}': `);
    tunctl.types("wrong\r");
    await tunctl.shows(`Bad passphrase, try again for ${locked.path}: `);
    tunctl.types(`xx\u0015${SECRET}é\u007f\r`); // ^U, and a character of two bytes taken back
    expect(await tunctl.end).toBe(0);
    expect(tunctl.shown()).toContain("connected to locked");
    expect(tunctl.shown()).not.toContain("wrong");
    expect(tunctl.shown()).not.toContain(SECRET);
    expect(tund.log()).not.toContain(SECRET);
    expect(await readFile(join(tund.home, "state", "state.json"), "utf8")).not.toContain(SECRET);
  });

  it("^C ends it with exit code 7, and the host is not kept", async () => {
    await sshd.addHost("locked-2", { IdentityFile: locked.path });
    const tund = await startDaemon(sshd.sshConfig);
    const tunctl = tund.atTerminal(["connect", "locked-2"]);
    await tunctl.shows("Enter passphrase");
    tunctl.types("half\u0003");
    expect(await tunctl.end).toBe(7);
    expect(await tund.tunctl(["status", "locked-2"])).toMatchObject({ code: 4 });
  });

  it("an unknown host key is asked about as ssh does, and recorded after a yes", async () => {
    const known = join(sshd.directory, "known-by-asking");
    await sshd.addHost("unknown", { UserKnownHostsFile: known });
    const tund = await startDaemon(sshd.sshConfig);
    const tunctl = tund.atTerminal(["forward", "-R", "0:127.0.0.1:1", "unknown"]);
    await tunctl.shows(`The authenticity of host '[127.0.0.1]:${sshd.port}`);
    await tunctl.shows("ED25519 key fingerprint is SHA256:");
    await tunctl.shows("Are you sure you want to continue connecting (yes/no/[fingerprint])? ");
    tunctl.types("perhaps\r");
    await tunctl.shows("Please type 'yes', 'no' or the fingerprint: ");
    tunctl.types("yes\r");
    expect(await tunctl.end).toBe(0);
    expect(tunctl.shown()).toContain("Permanently added");
    expect(await readFile(known, "utf8")).toBe(`${sshd.hostKeyLines[0]}\n`);
  });

  it("a no to it is exit code 6, and nothing is recorded", async () => {
    const known = join(sshd.directory, "not-known");
    await writeFile(known, "");
    await sshd.addHost("unwanted", { UserKnownHostsFile: known });
    const tund = await startDaemon(sshd.sshConfig);
    const tunctl = tund.atTerminal(["connect", "unwanted"]);
    await tunctl.shows("Are you sure");
    tunctl.types("no\r");
    expect(await tunctl.end).toBe(6);
    expect(await readFile(known, "utf8")).toBe("");
  });

  it("several rounds are asked, with their instructions, seen or unseen; the server's words cannot speak to the terminal", async () => {
    const server = await startServer({
      factors: ["keyboard-interactive"],
      banner: "Welcome \u001b[31mstranger\r\n",
      rounds: [
        {
          name: "First",
          instructions: "Two things.\nOnly.",
          prompts: [
            { prompt: "Name: ", echo: true },
            { prompt: "Code: ", echo: false },
          ],
          answers: ["al", "123"],
        },
        { prompts: [], answers: [] },
        { prompts: [{ prompt: "Again\u001b]0;x\u0007: ", echo: false }], answers: ["456"] },
      ],
    });
    const tund = await startDaemon(server.sshConfig);
    const tunctl = tund.atTerminal(["connect", "asking"]);
    await tunctl.shows(String.raw`Welcome \033[31mstranger`);
    await tunctl.shows("First");
    await tunctl.shows("Two things.");
    await tunctl.shows("Only.");
    await tunctl.shows("(alice@127.0.0.1) Name: ");
    tunctl.types("al\r");
    await tunctl.shows("(alice@127.0.0.1) Code: ");
    tunctl.types("123\r");
    await tunctl.shows(String.raw`Again\033]0;x\007: `);
    tunctl.types("456\r");
    expect(await tunctl.end).toBe(0);
    expect(tunctl.shown()).not.toContain("123");
  });

  it("an expired password is changed", async () => {
    const server = await startServer({
      factors: ["password"],
      password: "old",
      expired: { message: "It has expired.", fresh: "new" },
    });
    const tund = await startDaemon(server.sshConfig);
    const tunctl = tund.atTerminal(["connect", "asking"]);
    await tunctl.shows("alice@127.0.0.1's password: ");
    tunctl.types("old\r");
    await tunctl.shows("It has expired.");
    await tunctl.shows("Enter alice@127.0.0.1's old password: ");
    tunctl.types("old\r");
    for (const typed of ["new", "other", "new", "new"]) {
      await tunctl.shows("new password: ");
      tunctl.types(`${typed}\r`);
    }
    expect(await tunctl.end).toBe(0);
  });
});

describe("by an askpass program, the questions are ssh's", () => {
  it("for a password, as often as ssh asks", async () => {
    const server = await startServer({ factors: ["password"], password: "right" });
    const good = await besideSsh(server, "asking", ["wrong", "right"]);
    expect(good.outcome).toMatchObject({ code: 0 });
    expect(good.questions).toEqual(Array(2).fill("alice@127.0.0.1's password: "));
    const bad = await besideSsh(server, "asking", ["a", "b", "c", "d"]);
    expect(bad.outcome).toMatchObject({ code: 7 });
    expect(bad.questions).toHaveLength(3);
    expect(bad.outcome.stderr).toContain("refused: password, password, password");
  });

  it("for keyboard-interactive, and for one method after the other", async () => {
    const server = await startServer({
      factors: ["password", "keyboard-interactive"],
      password: "pw",
      rounds: [{ prompts: [{ prompt: "Code: ", echo: false }], answers: ["42"] }],
    });
    const { outcome, questions } = await besideSsh(server, "asking", ["pw", "41", "42"]);
    expect(outcome.code).toBe(0);
    expect(questions).toHaveLength(3);
  });

  it("for a key and a code", async () => {
    const server = await startServer({
      factors: ["publickey", "keyboard-interactive"],
      rounds: [{ instructions: "Look at it.", prompts: [{ prompt: "Code: ", echo: true }], answers: ["42"] }],
    });
    const key = await makeKey(join(server.directory, "id"), "ed25519", "open");
    await server.addHost("both", { IdentityFile: key.path });
    const { outcome } = await besideSsh(server, "both", ["open", "42"]);
    expect(outcome).toMatchObject({ code: 0 });
    expect(server.tried.filter((method) => method === "publickey")).toHaveLength(2); // ours, and ssh's
  });

  it("for an unknown host key, with its fingerprint for an answer", async () => {
    const server = await startServer({ factors: ["password"], password: "pw" });
    const { stdout } = await run("ssh-keygen", ["-lf", server.knownHosts]);
    const fingerprint = /SHA256:\S+/.exec(stdout)?.[0] ?? "";
    const known = join(server.directory, "fresh");
    await server.addHost("fresh", { UserKnownHostsFile: known });
    const { env, questions } = await askpass(server.directory, [fingerprint, "pw"]);
    const tund = await startDaemon(server.sshConfig);
    expect(await tund.tunctl(["connect", "fresh"], { env })).toMatchObject({ code: 0 });
    expect(await questions()).toHaveLength(2);
    expect(await readFile(known, "utf8")).toBe(`${server.hostKeyLine}\n`);
  });
});

describe("where nobody can be asked", () => {
  it("a login fails at once with what was needed, and BatchMode asks nobody", async () => {
    const server = await startServer({ factors: ["password"], password: "pw" });
    await server.addHost("batch", { BatchMode: "yes" });
    const tund = await startDaemon(server.sshConfig);
    const alone = await tund.tunctl(["connect", "asking"]);
    expect(alone.code).toBe(7);
    expect(alone.stderr).toContain("it needs a password for alice@127.0.0.1");
    expect(alone.stderr).toContain("tunctl connect asking");
    const { env, questions } = await askpass(server.directory, ["pw"]);
    expect(await tund.tunctl(["connect", "batch"], { env })).toMatchObject({ code: 7 });
    expect(await questions()).toEqual([]);
    expect(server.tried).toEqual([]);
  });

  it("a master that lost its link is blocked and tries no more, until connect is there to be asked", async () => {
    const server = await startServer({ factors: ["password"], password: "pw" });
    const tund = await startDaemon(server.sshConfig);
    const { env } = await askpass(server.directory, ["pw", "pw"]);
    expect(await tund.tunctl(["connect", "asking"], { env })).toMatchObject({ code: 0 });
    server.drop();
    await eventually(async () => expect((await master(tund, "asking")).state).toBe("blocked"), {
      deadlineMs: 15_000,
    });
    const blocked = await master(tund, "asking");
    expect(blocked.failure?.code).toBe("PROMPT_UNANSWERED");
    expect(blocked.failure?.message).toContain("a password for alice@127.0.0.1");
    expect(blocked.retryAt).toBeNull();
    expect(await tund.tunctl(["connect", "asking"], { env })).toMatchObject({ code: 0 });
    expect((await master(tund, "asking")).state).toBe("ready");
  });

  it("--remember answers in their place, from memory alone", async () => {
    const server = await startServer({ factors: ["password"], password: SECRET });
    const tund = await startDaemon(server.sshConfig, { TUND_LOG_LEVEL: "debug" });
    const { env } = await askpass(server.directory, [SECRET]);
    expect(await tund.tunctl(["connect", "--remember", "asking"], { env })).toMatchObject({ code: 0 });
    server.drop();
    await eventually(
      async () => expect(await master(tund, "asking")).toMatchObject({ state: "ready", reconnects: 1 }),
      {
        deadlineMs: 15_000,
      },
    );
    expect(await readFile(join(tund.home, "state", "state.json"), "utf8")).not.toContain(SECRET);
    expect(tund.log()).not.toContain(SECRET);
  });
});

describe("the agent of whoever runs tunctl", () => {
  it("is used where the daemon has none, and again when the link is lost", async () => {
    const agent = await startAgent();
    onTestFinished(() => agent.stop());
    await agent.add(sshd.identity);
    await sshd.addHost("by-agent", {
      IdentityFile: "none",
      IdentityAgent: "SSH_AUTH_SOCK",
      IdentitiesOnly: "no",
    });
    await sshd.addHost("without", { IdentityFile: "none", IdentityAgent: "none", IdentitiesOnly: "no" });
    const tund = await startDaemon(sshd.sshConfig);
    const env = { SSH_AUTH_SOCK: agent.socket };
    expect(await tund.tunctl(["connect", "by-agent"])).toMatchObject({ code: 7 });
    expect(await tund.tunctl(["connect", "by-agent"], { env })).toMatchObject({ code: 0 });
    sshd.dropSessions();
    await eventually(async () => expect((await master(tund, "by-agent")).reconnects).toBe(1), {
      deadlineMs: 15_000,
    });
    expect(await tund.tunctl(["connect", "without"], { env })).toMatchObject({ code: 7 });
  });
});
