// What a server says must not speak to the terminal: control characters are shown as ssh shows them (vis(3), in octal).
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
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
