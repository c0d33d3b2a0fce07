// A tund that `tunctl -M` has started ends when it has nothing to do: after a second here, which is a minute by itself.
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp-dir.ts";

const within = ["sh", "-c", 'exec "$@" --while-held 1', "sh"];
let sshd: Sshd;

beforeAll(async () => {
  sshd = await startSshd();
  await sshd.addHost("behind", { ProxyJump: "testhost" });
});
afterAll(() => sshd?.stop());

/** Starts one, with somebody connected to it so that it does not end before the test has come to anything. */
async function start() {
  const home = await tempDir();
  const tund = await startTund({ within, home: home.path, env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  onTestFinished(async () => {
    await tund.stop("SIGKILL");
    await home.remove();
  });
  const looking = connect(tund.socket);
  await once(looking, "connect");
  const path = join(home.path, "held");
  const ok = async (...args: string[]) => {
    const { code, stderr } = await tund.tunctl(args);
    expect({ args, code, stderr: stderr.replace(/^(Exit request sent\.|Master running.*)\r\n/, "") }).toEqual(
      {
        args,
        code: 0,
        stderr: "",
      },
    );
  };
  const restart = () => startTund({ within, home: home.path, env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  return { tund, path, ok, restart, looking };
}

/** Twice as long as one with nothing to do takes to end. */
async function twoSeconds(): Promise<void> {
  const end = performance.now() + 2000;
  await eventually(() => performance.now() > end);
}

async function hasEnded(tund: Tund): Promise<void> {
  await eventually(() => expect(tund.log()).toContain('"msg":"stopped"'));
  expect(tund.log()).toContain("nobody holds a master here any longer, and nobody else has asked for one");
  expect(existsSync(tund.socket)).toBe(false);
}

describe("tund --while-held", () => {
  it("stays as long as a master is held, whatever is done with that, and ends after it", async () => {
    const { tund, path, ok, looking } = await start();
    await ok("-f", "-N", "-M", "-S", path, "behind"); // with the host that leads there
    looking.destroy();
    await twoSeconds();
    await ok("-O", "forward", "-S", path, "-L", `${await freePort()}:127.0.0.1:1`, "behind");
    await ok("forward", "-L", `${await freePort()}:127.0.0.1:1`, path);
    await ok("list");
    await ok("-O", "check", "-S", path, "behind");
    await ok("-O", "exit", "-S", path, "behind");
    await hasEnded(tund);
    expect(tund.log()).toContain('"level":"info"');
    const warnings = tund
      .log()
      .split("\n")
      .filter((line) => /"level":"(warn|error)"/.test(line));
    expect(warnings.filter((line) => !line.includes("compiled ciphers are missing"))).toEqual([]);
  });

  it("ends where nobody came, once who only looks has gone", async () => {
    const { tund, looking } = await start();
    await twoSeconds();
    expect(tund.log()).not.toContain("stopping");
    looking.destroy();
    await hasEnded(tund);
  });

  it.each([
    ["connected", ["connect", "testhost"], ["exit", "testhost"]],
    ["given a forward", ["forward", "--ephemeral", "-R", "0:127.0.0.1:1", "testhost"], ["exit", "testhost"]],
  ])("stays where a host was %s, although it is gone", async (_, asked, undone) => {
    const { tund, ok, looking } = await start();
    await tund.tunctl(asked);
    await ok(...undone);
    looking.destroy();
    await twoSeconds();
    await ok("status");
    expect(tund.log()).not.toContain("stopping");
  });

  it("stays where hosts are kept from an earlier time", async () => {
    const { tund, ok, restart } = await start();
    await ok("connect", "testhost");
    await tund.stop();
    const next = await restart();
    onTestFinished(async () => void (await next.stop("SIGKILL")));
    await ok("exit", "testhost");
    await twoSeconds();
    await ok("status");
    expect(next.log()).not.toContain("stopping");
  });
});
