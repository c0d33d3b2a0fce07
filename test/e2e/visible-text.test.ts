// What a server says must not speak to the terminal: control characters are shown as ssh shows them (vis(3), in octal).
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { run } from "../support/run.ts";
import { type LoginServer, startLoginServer } from "../support/login-server.ts";
import { noTerminal, startAtTerminal } from "../support/terminal.ts";
import { askpass } from "../support/askpass.ts";

// An escape sequence that clears the screen, BEL, BS, DEL, a C1 CSI; and what is printable, which stays.
const CONTROLS = "A\u001b[2JB\u0007C\bD\u007fE\u009b2JF naïve 日本語 C:\\dir";
const SHOWN = String.raw`A\033[2JB\007C\010D\177E\302\2332JF naïve 日本語 C:\dir`;
// Of no width, or turning what follows round: ssh shows them as they are.
const UNSEEN = "a\u202eb\u200bc";
const UNSEEN_SHOWN = String.raw`a\342\200\256b\342\200\213c`;

let server: LoginServer;

beforeAll(async () => {
  server = await startLoginServer({
    factors: ["keyboard-interactive"],
    banner: `banner ${CONTROLS}\nsecond\tline\n`,
    rounds: [
      {
        name: `name ${UNSEEN}`,
        instructions: `instructions \u001b]0;title\u0007\nand more`,
        prompts: [{ prompt: `prompt ${CONTROLS}\nCode: `, echo: false }],
        answers: ["1"],
      },
    ],
  });
});
afterAll(() => server?.stop());

if (noTerminal !== null) console.log(`skipped: text at a terminal: ${noTerminal}`);
describe.skipIf(noTerminal !== null)("at a terminal", () => {
  it("a banner and a prompt look as they do with ssh, beside which nothing moves the cursor", async () => {
    const tund = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig, TUND_LOG_FORMAT: "pretty" } });
    onTestFinished(async () => void (await tund.stop()));
    const env = { PATH: process.env["PATH"], LANG: "C.UTF-8" };
    const ssh = startAtTerminal("ssh", ["-F", server.sshConfig, "-N", "asking"], env);
    const ours = tund.atTerminal(["connect", "asking"]);
    for (const one of [ssh, ours]) {
      await one.shows(`banner ${SHOWN}\r\n`);
      await one.shows("second\tline\r\n");
      await one.shows(`(alice@127.0.0.1) prompt ${SHOWN}\r\nCode: `);
    }
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    expect(ours.shown()).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b\u202e]/);
    expect(ours.shown()).toContain(`name ${UNSEEN_SHOWN}\r\ninstructions \\033]0;title\\007\r\nand more\r\n`);
    for (const one of [ssh, ours]) one.types("wrong\r");
    await ours.shows("instructions");
    ours.types("\u0003");
    ssh.types("\u0003");
    await Promise.all([ours.end, ssh.end]);
  });
});

describe("without a terminal", () => {
  it("an askpass program is given them so, and stderr and the log have none either", async () => {
    const tund = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig, TUND_LOG_FORMAT: "pretty" } });
    onTestFinished(async () => void (await tund.stop()));
    const asked = await askpass(server.directory, ["wrong", "wrong", "wrong"]);
    const { stderr } = await tund.tunctl(["connect", "asking"], { env: asked.env });
    expect((await asked.questions())[0]).toContain(`prompt ${SHOWN}`);
    expect(stderr).toContain(`banner ${SHOWN}\nsecond\tline\n`);
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    expect(stderr + tund.log()).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u202e]/);
  });

  it("the log has none as JSON either, and it is the same text when it is read", async () => {
    const tund = await startTund({ env: { TUND_LOG_FORMAT: "json" } });
    onTestFinished(async () => void (await tund.stop()));
    const option = String.raw`ProxyCommand=printf 'x\342\200\256y\302\233z\177\n' >&2`;
    const { stderr } = await tund.tunctl(["connect", "-o", option, "h"]);
    expect(stderr).toContain(String.raw`x\342\200\256y\302\233z\177`);
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    expect(tund.log()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    const messages = tund
      .log()
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(messages.join("\n")).toContain("x\u202ey\u009bz\u007f");
  });

  it("what tund and tunctl say of their own arguments and settings has none", async () => {
    const env = { PATH: process.env["PATH"], HOME: "/nonexistent", TUND_LOG_LEVEL: "l\u202ev" };
    const bad = String.raw`\342\200\256`;
    for (const [args, said] of [
      [["dist/tund.cjs", "a\u202eb"], `unknown argument 'a${bad}b'`],
      [["dist/tund.cjs"], `TUND_LOG_LEVEL is 'l${bad}v'`],
      [["dist/tunctl.cjs", "a\u202eb"], `unknown verb 'a${bad}b'`],
      [["dist/tunctl.cjs", "--a\u202eb", "list"], `unknown option '--a${bad}b'`],
      [["dist/tunctl.cjs", "--socket", "/no/a\u202eb", "list"], `/no/a${bad}b`],
      [["dist/tunctl.cjs", "--socket", "/no/such", "-O", "a\u202eb", "h"], "Invalid multiplex command."],
      [["dist/tunctl.cjs", "--socket", "/no/such", "-O", "check", "-p", "a\u202eb", "h"], `a${bad}b`],
      [["dist/tunctl.cjs", "-M", "-S", "/no/such", "-L", "a\u202eb", "h"], `a${bad}b`],
    ] as const) {
      const { stderr } = await run(process.execPath, args, { env });
      expect(stderr).toContain(said);
      expect(stderr).not.toContain("\u202e");
    }
  });

  it("names that a user gave have none where they are listed, and are whole in JSON", async () => {
    const tund = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
    onTestFinished(async () => void (await tund.stop()));
    const spec = "a\u202eb\u2066.sock:c\u200bd:1";
    const made = await tund.tunctl(["forward", "-v", "--no-wait", "-L", `./${spec}`, "asking"]);
    const shown = String.raw`a\342\200\256b\342\201\246.sock`;
    expect({ out: made.stdout, err: made.stderr }).toMatchObject({
      out: expect.stringContaining(shown) as string,
    });
    const listed = await tund.tunctl(["list"]);
    expect(listed.stdout).toContain(shown);
    expect(listed.stdout).toContain(String.raw`c\342\200\213d:1`);
    const { stdout } = await tund.tunctl(["list", "--json"]);
    for (const text of [made.stdout, made.stderr, listed.stdout, stdout])
      expect(text).not.toMatch(/[\u202e\u2066\u200b]/);
    expect(JSON.parse(stdout)).toMatchObject({ forwards: [{ spec: `${tund.home}/${spec}` }] });
    const offered = await tund.tunctl(["__complete", "2", "cancel", "-L", ""]);
    expect(offered.stdout).toBe("words\n");
    const refused = await tund.tunctl(["-O", "forward", "-L", `./${spec}`, "as\u202eking"]);
    expect(refused.stderr).not.toMatch(/[\u202e\u2066\u200b]/);
  });

  it("a failure that repeats what a program said is one line, in the log too", async () => {
    const tund = await startTund({ env: { TUND_LOG_FORMAT: "pretty" } });
    onTestFinished(async () => void (await tund.stop()));
    const option = String.raw`ProxyCommand=printf '\033[2Jfirst\nsecond\n' >&2`;
    const { stderr } = await tund.tunctl(["connect", "-o", option, "h"]);
    const said = String.raw`ProxyCommand of h: it ended with exit code 0: \033[2Jfirst; second`;
    expect(stderr).toBe(`tunctl: ${said}\n`);
    expect(tund.log()).toContain(said);
    expect(tund.log()).not.toContain("\u001b");
  });
});
