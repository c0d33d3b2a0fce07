// ProxyUseFdpass: a ProxyCommand that connects, passes the connected socket to tund, and ends. Beside the real ssh.
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { besideSsh } from "../support/beside-ssh.ts";
import { eventually } from "../support/eventually.ts";
import { descendantsNamed, living, programsOf } from "../support/process-tree.ts";
import { freePort } from "../support/free-port.ts";
import { works } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

// What passes descriptors: neither a shell nor Node can.
const PYTHON = "/usr/bin/python3";
const isThere = existsSync(PYTHON);
if (!isThere) console.log(`skipped: descriptors are passed by ${PYTHON}, which is not there`);

const preface = `import os, socket, sys, time
there = (sys.argv[1], int(sys.argv[2]))
def send(*fds): socket.send_fds(socket.socket(fileno=1), [b"\\0"], [fd.fileno() for fd in fds])
`;

let tunnel: Tunnel;
let names = 0;

beforeAll(async () => {
  if (isThere) tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

/** What a host says whose ProxyCommand is such a program. */
async function passing(program: string) {
  const { sshd } = tunnel;
  const file = join(sshd.directory, `passing-${names++}.py`);
  await writeFile(file, preface + program);
  return {
    ProxyCommand: `${PYTHON} ${file} %h %p`,
    ProxyUseFdpass: "yes",
    HostKeyAlias: `[127.0.0.1]:${sshd.port}`,
  };
}

const verdict = async (program: string) => besideSsh(await passing(program), tunnel);

describe.skipIf(!isThere)("a ProxyCommand under ProxyUseFdpass", () => {
  it("passes the socket that leads to the host, which carries forwards when the command has ended", async () => {
    const name = "passed";
    await tunnel.sshd.addHost(name, await passing("send(socket.create_connection(there))"));
    const port = await freePort();
    await tunnel.ok("forward", "-L", `${port}:127.0.0.1:${tunnel.echo.port}`, name);
    await works(port);
    expect(programsOf(tunnel.tund.pid)).toEqual([]);
    await tunnel.ok("check", name);
    await tunnel.ok("exit", name);
  });

  it("is taken by tund as by ssh: one of several sockets, and what it has left running ends with the link", async () => {
    expect(await verdict("send(socket.create_connection(there))")).toMatchObject({ isIn: true });
    const before = tunnel.tund.fds();
    const file = join(tunnel.sshd.directory, "left");
    const left = `send(socket.create_connection(there))
pid = os.fork()
if pid == 0: time.sleep(1000)
with open("${file}", "w") as file: file.write(str(pid))`;
    await tunnel.sshd.addHost("leaving", await passing(left));
    await tunnel.ok("connect", "leaving");
    const helper = Number(await readFile(file, "utf8"));
    expect(living([helper])).toEqual([helper]);
    await tunnel.ok("exit", "leaving");
    await eventually(() => expect(living([helper])).toEqual([]));
    await tunnel.sshd.addHost(
      "several",
      await passing(
        "one = socket.create_connection(there)\nsend(one, *[open(os.devnull) for _ in range(9)])",
      ),
    );
    await tunnel.ok("connect", "several");
    await tunnel.ok("exit", "several");
    await eventually(() => expect(tunnel.tund.fds()).toBeLessThanOrEqual(before));
  });

  it.each([
    [
      "nothing",
      "sys.exit('no way there')",
      /it ended with exit code 1, and passed no socket .*: no way there/,
    ],
    ["words", "os.write(1, b'SSH-2.0-x\\n')", /it printed something, and passed no socket/],
    ["a file", "send(open(os.devnull))", /what it passed is no connected socket/],
    [
      "a datagram socket",
      "send(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))",
      /what it passed is no connected socket/,
    ],
    ["a socket that is not connected", "send(socket.socket())", /what it passed is no connected socket/],
  ])("that passes %s fails by that, and leaves no descriptor", async (_, program, said) => {
    const before = tunnel.tund.fds();
    const outcome = await verdict(program);
    expect(outcome.isIn).toBe(false);
    expect(outcome.said).toMatch(said);
    expect(outcome.said.trim().split("\n")).toHaveLength(1);
    await eventually(() => expect(tunnel.tund.fds()).toBeLessThanOrEqual(before));
  });

  it("that does not end is ended when the host is wanted no longer", async () => {
    await tunnel.sshd.addHost("hanging", await passing("time.sleep(1000)"));
    const connecting = tunnel.tund.tunctl(["connect", "hanging"]);
    await eventually(() => expect(descendantsNamed(tunnel.tund.pid, "python3")).toHaveLength(1)); // no ssh -G
    await tunnel.tund.tunctl(["exit", "hanging"]);
    expect((await connecting).code).not.toBe(0);
    await eventually(() => expect(programsOf(tunnel.tund.pid)).toEqual([]));
  });
});
