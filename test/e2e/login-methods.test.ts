// Which methods of authentication ssh_config has tried, and how often a person is asked: beside the real ssh.
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { askpass } from "../support/askpass.ts";
import { startTund } from "../support/daemon.ts";
import { startLoginServer } from "../support/login-server.ts";
import { run } from "../support/run.ts";
import { makeKey } from "../support/ssh-key.ts";

/** What a server is asked by tund, which has to be what ssh asks it; its one factor is a code, so that all are tried. */
async function tried(
  settings: Readonly<Record<string, string | number>>,
  factors = ["keyboard-interactive"],
) {
  const server = await startLoginServer({
    factors: factors as ("publickey" | "password" | "keyboard-interactive")[],
    password: "right",
    rounds: [{ prompts: [{ prompt: "Code: ", echo: false }], answers: ["42"] }],
  });
  onTestFinished(() => server.stop());
  const key = await makeKey(join(server.directory, "id"), "ed25519");
  await server.addHost("one", { IdentityFile: key.path, ...settings });
  const tund = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
  onTestFinished(async () => void (await tund.stop()));
  const wrong = Array<string>(9).fill("wrong");
  const [ours, theirs] = [await askpass(server.directory, wrong), await askpass(server.directory, wrong)];
  const outcome = await tund.tunctl(["connect", "one"], { env: ours.env });
  const asked = server.tried.splice(0);
  const args = ["-F", server.sshConfig, "one", "true"];
  await run("setsid", ["-w", "ssh", ...args], { env: { ...process.env, ...theirs.env } });
  expect({ asked, questions: await ours.questions() }).toEqual({
    asked: server.tried.splice(0),
    questions: await theirs.questions(),
  });
  return { asked, questions: await ours.questions(), outcome };
}

describe("of the methods", () => {
  it("those that are off are not tried", async () => {
    expect((await tried({ KbdInteractiveAuthentication: "no" })).asked).toEqual([]);
    expect((await tried({ PasswordAuthentication: "no" }, ["password"])).asked).toEqual([]);
    expect((await tried({}, ["publickey"])).asked).toContain("publickey");
    const { asked, outcome } = await tried({ PubkeyAuthentication: "no" }, ["publickey"]);
    expect(asked).toEqual([]);
    expect(outcome.stderr).toContain("any key: PubkeyAuthentication is off");
  });

  it("PreferredAuthentications has those tried that it names", async () => {
    expect((await tried({ PreferredAuthentications: "publickey,password" })).asked).toEqual([]);
    expect((await tried({ PreferredAuthentications: "keyboard-interactive" })).asked).not.toEqual([]);
  });

  it.each([0, 1, 2])("NumberOfPasswordPrompts %i is how often a person is asked", async (count) => {
    expect((await tried({ NumberOfPasswordPrompts: count }, ["password"])).questions).toHaveLength(count);
    expect((await tried({ NumberOfPasswordPrompts: count })).questions).toHaveLength(count);
  });

  it("BatchMode has nobody asked", async () => {
    expect((await tried({ BatchMode: "yes" })).questions).toEqual([]);
  });
});
