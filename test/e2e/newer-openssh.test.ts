// OpenSSH that is newer than the machine's own, as a server, and as a client on our mux sockets.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { startInBackground } from "../support/background.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { newerOpenSsh } from "../support/newer-openssh.ts";
import { type Outcome, run } from "../support/run.ts";
import type { SshdOptions } from "../support/sshd.ts";
import { dialLoopback, echoed, endOf, refuses, works } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

const openSsh = await newerOpenSsh();
const version = openSsh?.version.join(".");

/** For the running test alone. */
async function tunnelTo(options: SshdOptions = {}): Promise<Tunnel> {
  const tunnel = await startTunnel({ openSsh: openSsh ?? undefined, ...options });
  onTestFinished(() => tunnel.stop());
  return tunnel;
}

const oneLine = (words: RegExp) =>
  expect.stringMatching(new RegExp(`^tunctl: [^\n]*${words.source}[^\n]*\n$`));

describe.skipIf(openSsh === null)(`a server of OpenSSH ${version}`, () => {
  it("is logged in to, and carries forwards of both directions", async () => {
    const tunnel = await tunnelTo();
    const [local, remote] = [await freePort(), await freePort()];
    const to = `127.0.0.1:${tunnel.echo.port}`;
    await tunnel.ok("forward", "-L", `${local}:${to}`, "-R", `${remote}:${to}`, "testhost");
    await works(local);
    await works(remote);
    expect(await tunnel.ok("check", "testhost")).toContain("Master running");
    expect(tunnel.sshd.log()).toContain("Accepted publickey");
  });

  it("that refuses the connection is told of in one line", async () => {
    const { tund, sshd } = await tunnelTo({ config: ["Match all", "  RefuseConnection yes"] });
    expect(await tund.tunctl(["connect", "testhost"])).toMatchObject({
      code: 1,
      stderr: oneLine(/ended the connection during authentication/),
    });
    expect(sshd.log()).toContain("administratively prohibited connection");
  });

  it("that ends connections without channels is dialled again", async () => {
    const tunnel = await tunnelTo({ config: ["UnusedConnectionTimeout 1"] });
    await tunnel.ok("connect", "testhost");
    await eventually(async () => expect(await tunnel.master()).toMatchObject({ reconnects: 1 }), {
      deadlineMs: 60_000,
    });
    expect(tunnel.sshd.log()).toContain("terminating inactive connection");
  });

  it("that ends a channel where nothing moves ends that connection alone", async () => {
    const tunnel = await tunnelTo({ config: ["ChannelTimeout direct-tcpip=1"] });
    const port = await tunnel.forwardTo(`127.0.0.1:${tunnel.echo.port}`);
    const socket = await dialLoopback(port);
    await echoed(socket, "x");
    expect(await endOf(socket)).toBe("end");
    expect(await tunnel.forwardOn(port)).toMatchObject({ state: "active", channels: { open: 0, total: 1 } });
    expect(await tunnel.master()).toMatchObject({ state: "ready", reconnects: 0 });
    await works(port);
  });

  it("that penalises this address is told of in one line, and so it is by ssh", async () => {
    const { tund, sshd } = await tunnelTo({ config: ["PerSourcePenalties yes"], authorizedKeys: () => [] });
    await eventually(
      async () => {
        expect(await tund.tunctl(["connect", "testhost"])).toMatchObject({ code: 1, stderr: oneLine(/127/) });
        expect(sshd.log()).toContain("drop connection");
      },
      { deadlineMs: 60_000 },
    );
    const { code } = await run("ssh", ["-F", sshd.sshConfig, "-o", "BatchMode=yes", "testhost", "true"]);
    expect(code).toBe(255);
  });

  it("that knows post-quantum key exchange alone is logged in to", async (context) => {
    if (!readFileSync("dist/tund.cjs", "utf8").includes("mlkem768x25519-sha256"))
      context.skip("this tund has no post-quantum key exchange");
    const tunnel = await tunnelTo({ config: ["KexAlgorithms mlkem768x25519-sha256"] });
    await tunnel.ok("connect", "testhost");
    const mux = (await tunnel.master())?.muxSocket ?? "";
    const { stdout } = await run(openSsh?.ssh ?? "ssh", ["-F", "none", "-S", mux, "-O", "conninfo", "x"]);
    expect(stdout).toContain("kexalgorithm mlkem768x25519-sha256\r\n");
  });
});

describe.skipIf(openSsh === null)(`a client of OpenSSH ${version} on a mux socket`, () => {
  it("is answered as by its own master, and told of the connection in the same words", async () => {
    const tunnel = await tunnelTo();
    const program = openSsh?.ssh ?? "ssh";
    const theirs = join(tunnel.sshd.directory, "theirs");
    const args = ["-F", tunnel.sshd.sshConfig, "-S", theirs, "-MN", "testhost"];
    const own = await startInBackground(program, args, { env: process.env, cwd: tunnel.sshd.directory });
    onTestFinished(async () => {
      own.kill("SIGKILL");
      await own.end;
    });
    const ask = (socket: string, ...command: string[]) =>
      run(program, ["-F", "none", "-S", socket, "-O", ...command, "x"]);
    await eventually(async () => expect((await ask(theirs, "check")).code).toBe(0), { deadlineMs: 30_000 });
    await tunnel.ok("connect", "testhost");
    const ours = (await tunnel.master())?.muxSocket ?? "";

    // A port each: they listen at the same time.
    const [hisPort, myPort] = [await freePort(), await freePort()];
    const spec = (port: number) => `${port}:127.0.0.1:${tunnel.echo.port}`;
    for (const command of [["check"], ["forward", "-L"], ["cancel", "-L"], ["cancel", "-L"]]) {
      const of = (port: number) => (command.length === 1 ? command : [...command, spec(port)]);
      const [his, mine] = [await ask(theirs, ...of(hisPort)), await ask(ours, ...of(myPort))];
      expect([command, seen(mine, myPort)]).toEqual([command, seen(his, hisPort)]);
      if (command[0] === "forward") await works(myPort);
    }
    expect(await refuses(myPort)).toBe(true);

    const [his, mine] = [await ask(theirs, "conninfo"), await ask(ours, "conninfo")];
    expect(mine.code).toBe(0);
    // It counts packets and blocks, and tells when keys are renewed; tund tells neither.
    const lines = wordsOf(his.stdout).filter((line) => line !== "rekey" && line !== "versions");
    expect(wordsOf(mine.stdout)).toEqual(lines);
    expect(mine.stdout).toMatch(/^ {2}duration \d\d:\d\d:\d\d\r$/m);
  });
});

const seen = ({ code, stdout, stderr }: Outcome, port: number) => ({
  code,
  stdout,
  stderr: stderr.replace(/pid=\d+/, "pid=N").replaceAll(String(port), "PORT"),
});

/** What each line of it tells, by its first word. */
const wordsOf = (text: string): string[] => [...text.matchAll(/^ *(\w+)/gm)].map(([, word = ""]) => word);
