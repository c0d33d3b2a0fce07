// git, rsync, ssh and sftp through forwards and through -W, and chains of masters.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { pseudoRandom } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";
import { describeWith, isThere } from "./program.ts";

let tunnel: Tunnel;
let directory = "";

beforeAll(async () => {
  tunnel = await startTunnel({ config: ["Subsystem sftp internal-sftp"] });
  directory = tunnel.sshd.directory;
});
afterAll(() => tunnel?.stop());

/** ssh, as these programs start it: each connection goes through the daemon's master by `tunctl -W`. */
const overW = () => {
  const tunctl = `${process.execPath} ${join(process.cwd(), "dist/tunctl.cjs")} --socket ${tunnel.tund.socket}`;
  return [
    "-F",
    tunnel.sshd.sshConfig,
    "-o",
    "BatchMode=yes",
    "-o",
    `ProxyCommand=${tunctl} -W %h:%p testhost`,
  ];
};

/** ssh that goes through a forward to the server's own port. */
const overPort = (port: number) => [
  "-F",
  tunnel.sshd.sshConfig,
  "-o",
  "BatchMode=yes",
  "-o",
  `Port=${port}`,
  "-o",
  `HostKeyAlias=[127.0.0.1]:${tunnel.sshd.port}`,
];

/** A command line for programs that split theirs as a shell does. */
const shellWords = (words: readonly string[]) => words.map((word) => `'${word}'`).join(" ");

async function bigFile(name: string, length = 3_000_000): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, Buffer.concat([...pseudoRandom(length)]));
  return path;
}

describeWith({ git: isThere("git") })("git", () => {
  it("clones, pushes and fetches over -W", async () => {
    const git = async (cwd: string, ...args: string[]) => {
      const identity = [
        "-c",
        "user.name=T",
        "-c",
        "user.email=t@example.org",
        "-c",
        "init.defaultBranch=main",
      ];
      const env = {
        PATH: process.env["PATH"],
        HOME: directory,
        GIT_SSH_COMMAND: `ssh ${shellWords(overW())}`,
      };
      const done = await run("git", [...identity, ...args], { cwd, env });
      expect(done, done.stderr).toMatchObject({ code: 0 });
      return done.stdout.trim();
    };
    const [bare, work, other] = ["bare.git", "work", "other"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    await git(directory, "init", "-q", "--bare", bare);
    await git(directory, "clone", "-q", `testhost:${bare}`, work);
    await writeFile(join(work, "large"), await readFile(await bigFile("large")));
    await git(work, "add", "large");
    await git(work, "commit", "-q", "-m", "large");
    await git(work, "push", "-q", "origin", "HEAD:main");
    await git(directory, "clone", "-q", "-b", "main", `testhost:${bare}`, other);
    expect(await git(other, "rev-parse", "HEAD")).toBe(await git(work, "rev-parse", "HEAD"));
    await git(other, "fsck", "--strict");
  });
});

describeWith({ rsync: isThere("rsync") })("rsync", () => {
  it.each([
    ["-W", () => Promise.resolve(overW())],
    ["-L", async () => overPort(await tunnel.forwardTo(`127.0.0.1:${tunnel.sshd.port}`))],
  ])("copies there and back, and sends only what changed, over %s", async (way, options) => {
    const shell = `ssh ${shellWords(await options())}`;
    const [from, there, back] = ["from", "there", "back"].map((name) => join(directory, `${name}${way}`)) as [
      string,
      string,
      string,
    ];
    await mkdir(from);
    const file = await bigFile(`rsync${way}`);
    await writeFile(join(from, "a"), await readFile(file));
    const rsync = (...args: string[]) => run("rsync", ["-a", "--stats", "-e", shell, ...args]);
    expect(await rsync(`${from}/`, `testhost:${there}/`)).toMatchObject({ code: 0, stderr: "" });
    const changed = await readFile(file);
    changed[1_000_000] = (changed[1_000_000] ?? 0) ^ 1;
    await writeFile(join(from, "a"), changed);
    const second = await rsync("--checksum", `${from}/`, `testhost:${there}/`);
    expect(second).toMatchObject({ code: 0, stderr: "" });
    const sent = Number(/Total bytes sent: ([\d,.]+)/.exec(second.stdout)?.[1]?.replace(/\D/g, ""));
    expect(sent).toBeLessThan(200_000);
    expect(await rsync(`testhost:${there}/`, `${back}/`)).toMatchObject({ code: 0, stderr: "" });
    expect((await readFile(join(back, "a"))).equals(changed)).toBe(true);
  });
});

describe("ssh and sftp", () => {
  it.each([
    ["-L", () => tunnel.forwardTo(`127.0.0.1:${tunnel.sshd.port}`)],
    [
      "-R",
      async () => {
        const port = await freePort();
        await tunnel.ok("forward", "-R", `${port}:127.0.0.1:${tunnel.sshd.port}`, "testhost");
        onTestFinished(
          async () => void (await tunnel.tund.tunctl(["cancel", "-R", String(port), "testhost"])),
        );
        return port;
      },
    ],
  ])("run a command, and put and get a file, through %s", async (way, port) => {
    const options = overPort(await port());
    const command = await run("ssh", [...options, "testhost", "cat; echo told >&2; exit 7"], {
      input: "asked",
    });
    expect(command).toMatchObject({ code: 7, stdout: "asked", stderr: "told\n" });
    const file = await bigFile(`sftp${way}`);
    const batch = `put ${file} ${file}.there\nget ${file}.there ${file}.back\n`;
    const done = await run("sftp", [...options, "-b", "-", "testhost"], { input: batch });
    expect(done, done.stderr).toMatchObject({ code: 0 });
    expect((await readFile(`${file}.back`)).equals(await readFile(file))).toBe(true);
  });
});

describe("a chain", () => {
  it("of forwards through several masters leads to the last one's destination", async () => {
    // Three servers; only the first is reached directly: the others' ports are forwards through the one before.
    const others = await Promise.all([startSshd(), startSshd()]);
    const config = join(directory, "chain_config");
    const hops = [await readFile(tunnel.sshd.sshConfig, "utf8")];
    await writeFile(config, hops.join("\n"));
    const tund = await startTund({ env: { TUND_SSH_CONFIG: config } });
    onTestFinished(async () => {
      await tund.stop();
      await Promise.all(others.map((sshd) => sshd.stop()));
    });
    let before = "testhost";
    for (const [index, sshd] of others.entries()) {
      const port = await freePort();
      const to = `127.0.0.1:${sshd.port}`;
      expect(await tund.tunctl(["forward", "-L", `${port}:${to}`, before])).toMatchObject({
        code: 0,
        stderr: "",
      });
      // As a user would write it: the server under a name, by way of the forward, known by its own key.
      hops.push(
        (await readFile(sshd.sshConfig, "utf8"))
          .replace("Host testhost", `Host hop${index}`)
          .replace(/Port \d+/, `Port ${port}\n  HostKeyAlias [127.0.0.1]:${sshd.port}`),
      );
      await writeFile(config, hops.join("\n"));
      before = `hop${index}`;
    }
    const port = await freePort();
    const last = ["forward", "-L", `${port}:127.0.0.1:${tunnel.echo.port}`, before];
    expect(await tund.tunctl(last)).toMatchObject({ code: 0, stderr: "" });
    const socket = await dialLoopback(port);
    const text = "far away ".repeat(100_000);
    expect(await echoed(socket, text)).toBe(text);
    socket.destroy();
    // And each server saw one connection: that of its own master.
    for (const sshd of others) expect(sshd.log().match(/Accepted publickey/g)).toHaveLength(1);
  });
});
