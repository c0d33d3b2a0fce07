// Servers that are not OpenSSH: what they answer, leave out, refuse and say, and that their links live as ssh's do.
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import type { Forward, Master } from "../../shared/records.ts";
import { startTund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import {
  describeServer,
  type Habits,
  type OtherServerName,
  otherServers,
  startOtherServer,
} from "../support/other-servers.ts";
import { run } from "../support/run.ts";
import { dialLoopback, echoed, refuses, works } from "../support/tcp.ts";

const ok = { code: 0, stderr: "" };

async function world(name: OtherServerName, habits: Habits = {}) {
  const server = await startOtherServer(name, habits);
  onTestFinished(() => server.stop());
  // Of new keys it tells at that level.
  const tund = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig, TUND_LOG_LEVEL: "debug" } });
  onTestFinished(async () => void (await tund.stop()));
  const echo = await echoServer();
  onTestFinished(() => echo.close());
  const to = `127.0.0.1:${echo.port}`;
  const master = async () => {
    const { stdout } = await tund.tunctl(["status", "--json"]);
    return (JSON.parse(stdout) as { masters: Master[] }).masters[0];
  };
  return { server, tund, to, tunctl: (...args: string[]) => tund.tunctl(args), master };
}

for (const name of otherServers)
  describeServer(name)(`a server of ${name}`, () => {
    it("is logged in to, as by ssh, and gives a sign of life", async () => {
      const { server, tunctl } = await world(name);
      expect(await tunctl("connect", "testhost")).toMatchObject(ok);
      expect(await tunctl("check", "-v", "testhost")).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^Master running \(pid=\d+\), round trip [\d.]+ms\n$/) as string,
      });
      const args = ["-F", server.sshConfig, "-o", "BatchMode=yes", "-v", "testhost", "true"];
      expect((await run("ssh", args)).stderr).toContain("Authenticated to 127.0.0.1");
    });

    // tinysshd has no forwarding at all.
    it.skipIf(name === "tinysshd")("carries a forward of each direction", async () => {
      const { tunctl, to } = await world(name);
      const [local, remote] = [await freePort(), await freePort()];
      const specs = ["-L", `${local}:${to}`, "-R", `${remote}:${to}`];
      expect(await tunctl("forward", ...specs, "testhost")).toMatchObject(ok);
      await works(local);
      await works(remote);
    });
  });

/** What has to work whatever is answered to keepalive@openssh.com. */
async function livesOn(name: OtherServerName, habits: Habits): Promise<Master | undefined> {
  const { tunctl, to, master } = await world(name, habits);
  const [local, remote] = [await freePort(), await freePort()];
  const timeout = ["--timeout", "60"];
  expect(await tunctl("forward", ...timeout, "-L", `${local}:${to}`, "testhost")).toMatchObject(ok);
  expect(await tunctl("forward", ...timeout, "-R", `${remote}:${to}`, "testhost")).toMatchObject(ok);
  for (const port of [local, remote]) await works(port);
  for (let times = 0; times < 3; times++)
    expect(await tunctl("check", "-v", "testhost")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/round trip [\d.]+ms\n$/) as string,
    });
  expect(await tunctl("cancel", "-R", String(remote), "testhost")).toMatchObject(ok);
  expect(await refuses(remote)).toBe(true);
  return master();
}

const undisturbed = { state: "ready", reconnects: 0, failure: null };

describeServer("asyncssh")("a server of asyncssh", () => {
  it.each(["unimplemented", "silence"] as const)(
    "that answers keepalives with %s has remote forwards, and is known to live",
    async (keepalive) => expect(await livesOn("asyncssh", { keepalive })).toMatchObject(undisturbed),
  );
});

describeServer("go")("a server of Go's", () => {
  it("that does not answer keepalives has remote forwards, and is known to live", async () =>
    expect(await livesOn("go", { keepalive: "silence" })).toMatchObject(undisturbed));

  // asyncssh names the listener by port 0, which ssh rejects as well.
  it("that does not answer keepalives says on which port it listens", async () => {
    const { tunctl, to } = await world("go", { keepalive: "silence" });
    const { stdout } = await tunctl("forward", "--timeout", "60", "-R", `0:${to}`, "testhost");
    expect(stdout).toMatch(/^\d+\n$/);
    await works(Number(stdout));
  });

  it("that reads no request at all is not asked until it stands still", async () => {
    const { tunctl, to, master } = await world("go", { requests: "unread" });
    const local = await freePort();
    expect(await tunctl("forward", "-L", `${local}:${to}`, "testhost")).toMatchObject(ok);
    // Its queue has room for 16.
    for (let times = 0; times < 20; times++) expect(await tunctl("check", "testhost")).toMatchObject(ok);
    await works(local);
    expect(await master()).toMatchObject(undisturbed);
  });

  it("that leaves a request unanswered does not have the next one take its answer", async () => {
    const { server, tunctl, to } = await world("go", { silentOn: ["streamlocal-forward@openssh.com"] });
    const [path, port] = [join(server.directory, "r.sock"), await freePort()];
    expect(await tunctl("connect", "testhost")).toMatchObject(ok);
    const [unix, tcp] = await Promise.all([
      tunctl("forward", "--timeout", "60", "-R", `${path}:${to}`, "testhost"),
      tunctl("forward", "--timeout", "60", "-R", `${port}:${to}`, "testhost"),
    ]);
    expect(unix).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(
        `cannot listen on ${path}: it does not answer streamlocal-forward@openssh.com`,
      ) as string,
    });
    expect(tcp).toMatchObject(ok);
    await works(port);
  });

  it("that does not say on which port it listens has no -R 0", async () => {
    const { tunctl, to } = await world("go", { noPort: true });
    expect(await tunctl("forward", "-R", `0:${to}`, "testhost")).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("did not say on which port") as string,
    });
    const { stdout } = await tunctl("list", "--json");
    expect((JSON.parse(stdout) as { forwards: Forward[] }).forwards).toEqual([]);
  });
});

for (const [name, habits] of [
  ["dropbear", {}],
  ["go", { refusesCancel: true }],
] as const)
  describeServer(name)(`a server of ${name}`, () => {
    it("that refuses to stop listening is told of, and what it listens on serves whoever wants it again", async () => {
      const { tunctl, to } = await world(name, habits);
      const port = await freePort();
      expect(await tunctl("forward", "-R", `${port}:${to}`, "testhost")).toMatchObject(ok);
      const { code, stderr } = await tunctl("cancel", "-R", String(port), "testhost");
      expect(code).toBe(0);
      expect(stderr).toMatch(/^tunctl: warning: .* refused to stop listening on localhost:\d+: .*\n$/);
      // It is accepted there, and goes no further.
      const refused = await dialLoopback(port);
      await expect(echoed(refused, "x")).rejects.toThrow(/aborted|ECONNRESET/);
      expect(await tunctl("forward", "-R", `${port}:${to}`, "testhost")).toMatchObject(ok);
      await works(port);
    });
  });

const serverKeys = "new keys, asked for by the server";
const ourKeys = "new keys, asked for by us";

describeServer("asyncssh")("new keys", () => {
  it.each([
    ["the server", { rekeySeconds: 1 }, {}, [serverKeys]],
    ["us", {}, { RekeyLimit: "default 1" }, [ourKeys]],
    ["both", { rekeySeconds: 1 }, { RekeyLimit: "default 1" }, [serverKeys, ourKeys]],
  ])("that %s asked for leave the link of an asyncssh server as it is", async (_, habits, settings, keys) => {
    const { server, tund, tunctl, to, master } = await world("asyncssh", habits);
    await server.addHost("often", settings);
    const port = await freePort();
    expect(await tunctl("forward", "-L", `${port}:${to}`, "often")).toMatchObject(ok);
    const socket = await dialLoopback(port);
    onTestFinished(() => void socket.destroy());
    const isDone = () => keys.every((words) => tund.log().split(words).length > 3);
    await eventually(
      async () => {
        expect(await echoed(socket, "still here")).toBe("still here");
        return isDone();
      },
      { deadlineMs: 60_000 },
    );
    expect(await master()).toMatchObject(undisturbed);
  });
});

describeServer("asyncssh")("a server that disconnects", () => {
  const text = "maintenance until 5 pm";

  it.each([
    [11, true],
    [11, false],
    [12, true],
    [12, false],
    [99, false],
  ])("with code %i after the login, language tag: %s, is quoted", async (code, language) => {
    const { tunctl, master } = await world("asyncssh", {
      disconnect: { when: "later", code, text, language },
    });
    expect(await tunctl("connect", "testhost")).toMatchObject(ok);
    await eventually(async () =>
      expect(await master()).toMatchObject({
        failure: {
          code: "CONNECTION_LOST",
          message: expect.stringMatching(/was lost: maintenance until 5 pm$/) as string,
        },
      }),
    );
  });

  it.each([
    [11, true],
    [11, false],
    [12, false],
  ])("with code %i during the login, language tag: %s, is quoted", async (code, language) => {
    const { tunctl } = await world("asyncssh", { disconnect: { when: "login", code, text, language } });
    const { stderr } = await tunctl("connect", "testhost");
    expect(stderr).toMatch(/ended the connection during authentication: maintenance until 5 pm\n$/);
  });
});

describeServer("asyncssh")("an RSA key", () => {
  const others = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"];

  // 7.4 takes SHA-2 and leaves it out of what it says (SSH_BUG_SIGTYPE74).
  it.each([
    ["OpenSSH_7.4", others, true],
    ["OpenSSH_7.4p1 Debian-10", others, true],
    ["OpenSSH_7.4", [...others, "rsa-sha2-256", "rsa-sha2-512"], true],
    ["OpenSSH_9.2p1", others, false],
  ])("at a server that calls itself %s and takes %j is as good as to ssh", async (version, takes, isIn) => {
    const habits = { identity: "rsa", version, signatureAlgorithms: takes } as const;
    const { server, tunctl } = await world("asyncssh", habits);
    expect((await tunctl("connect", "testhost")).code).toBe(isIn ? 0 : 7);
    const args = ["-F", server.sshConfig, "-o", "BatchMode=yes", "-v", "testhost", "true"];
    const { stderr } = await run("ssh", args);
    expect(stderr.includes("Authenticated to 127.0.0.1")).toBe(isIn);
  });
});
