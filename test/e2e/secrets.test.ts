// What a person answers is gone from tund's heap once it has served, unless it is to be remembered.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { askpass } from "../support/askpass.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type LoginServerOptions, startLoginServer } from "../support/login-server.ts";

const SECRET = "Zq7-plainly-visible";

/** Whether a string that lives in the daemon's heap has this in it. A snapshot collects the heap first. */
async function lives(tund: Tund, text: string): Promise<boolean> {
  process.kill(tund.pid, "SIGUSR2");
  const written = () => {
    const name = readdirSync(tund.home).find((each) => each.endsWith(".heapsnapshot"));
    const path = join(tund.home, name ?? "none");
    const snapshot = existsSync(path) ? readFileSync(path, "utf8") : "";
    return snapshot.trimEnd().endsWith("}") && { path, snapshot };
  };
  const { path, snapshot } = await eventually(written, { deadlineMs: 20_000 });
  JSON.parse(snapshot); // whole, and with the strings in it
  rmSync(path);
  return snapshot.includes(text);
}

const password = `${SECRET}-1`;
const cases: [string, LoginServerOptions, string[]][] = [
  ["a password", { factors: ["password"], password }, [password]],
  [
    "an expired password and its successor",
    { factors: ["password"], password, expired: { message: "too old", fresh: `${SECRET}-2` } },
    [password, password, `${SECRET}-2`, `${SECRET}-2`],
  ],
  [
    "answers to other questions",
    {
      factors: ["keyboard-interactive"],
      rounds: [{ prompts: [{ prompt: "Password: ", echo: false }], answers: [password] }],
    },
    [password],
  ],
];

it.each(cases)("%s", async (_, options, answers) => {
  const server = await startLoginServer(options);
  onTestFinished(() => server.stop());
  const env = { TUND_SSH_CONFIG: server.sshConfig, NODE_OPTIONS: "--heapsnapshot-signal=SIGUSR2" };
  const tund = await startTund({ env });
  onTestFinished(async () => void (await tund.stop()));
  const person = await askpass(server.directory, answers);
  const plain = { NODE_OPTIONS: "" };
  const connect = (...more: string[]) =>
    tund.tunctl(["connect", ...more, "asking"], { env: { ...person.env, ...plain } });
  expect(await connect()).toMatchObject({ code: 0 });
  await eventually(async () => expect(await lives(tund, SECRET)).toBe(false), { deadlineMs: 60_000 });
  expect(server.logins()).toBe(1);
});

it("which a heap snapshot would show: a password that is to be remembered is there", async () => {
  const server = await startLoginServer({ factors: ["password"], password });
  onTestFinished(() => server.stop());
  const env = { TUND_SSH_CONFIG: server.sshConfig, NODE_OPTIONS: "--heapsnapshot-signal=SIGUSR2" };
  const tund = await startTund({ env });
  onTestFinished(async () => void (await tund.stop()));
  const person = await askpass(server.directory, [password]);
  const outcome = await tund.tunctl(["connect", "--remember", "asking"], {
    env: { ...person.env, NODE_OPTIONS: "" },
  });
  expect(outcome).toMatchObject({ code: 0 });
  expect(await lives(tund, SECRET)).toBe(true);
});
