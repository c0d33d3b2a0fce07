// tund as a container has it: what docs/containers.md says is enough, and two of one user side by side.
import { spawnSync } from "node:child_process";
import { chmod, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { startInBackground } from "../support/background.ts";
import { startTund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { descendants, descendantsNamed, signal } from "../support/process-tree.ts";
import { type Outcome, run } from "../support/run.ts";
import { SshConfig } from "../support/ssh-config.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed } from "../support/tcp.ts";
import { tempDir } from "../support/temp-dir.ts";

const UID = 12345;
const AS = ["setpriv", "--reuid", `${UID}`, "--regid", `${UID}`, "--clear-groups"];
const NAMESPACES = ["--fork", "--kill-child", "--pid", "--mount-proc", "--mount"];
const program = (name: string): string => resolve(`dist/${name}.cjs`);

function whyNot(): string | undefined {
  const command = [...NAMESPACES, ...AS, process.execPath, program("tund"), "--version"];
  const tried = spawnSync("unshare", command);
  return tried.status === 0
    ? undefined
    : "it needs root, unshare(1), setpriv(1), and what is in this directory to be there for all";
}

async function server(): Promise<Sshd> {
  const sshd = await startSshd();
  onTestFinished(() => sshd.stop());
  return sshd;
}

const why = whyNot();
if (why !== undefined) console.log(`skipped: a bare container: ${why}`);

// What an image and its mounts are: a line of passwd, a root that nobody can write to, one tmpfs.
const CONTAINER = `set -e
  grep -v '^somebody:' /etc/passwd > "$AT/passwd"
  echo 'somebody:x:${UID}:${UID}::/nonexistent:/bin/sh' >> "$AT/passwd"
  mount --bind "$AT/passwd" /etc/passwd
  mount -t tmpfs -o mode=0700,uid=${UID},gid=${UID} tmpfs "$HOME"
  mount -o remount,bind,ro /
  exec "$@"`;

it.skipIf(why !== undefined)(
  "as PID 1, by a user of the image's, on a read-only root with one tmpfs, it logs in, forwards, and stops in time",
  async () => {
    const sshd = await server();
    const echo = await echoServer();
    onTestFinished(() => echo.close());
    const place = await tempDir();
    onTestFinished(() => place.remove());
    const [secrets, home] = [join(place.path, "secrets"), join(place.path, "home")];
    for (const directory of [place.path, secrets, home]) {
      await mkdir(directory, { recursive: true });
      await chmod(directory, 0o755);
    }
    // As a secret is mounted: root's, and readable by the user alone because of its group.
    await copyFile(sshd.identity, join(secrets, "id"));
    await chmod(join(secrets, "id"), 0o444);
    await copyFile(sshd.knownHosts, join(secrets, "known_hosts"));
    const config = new SshConfig(join(secrets, "ssh_config"), {
      HostName: sshd.host,
      Port: sshd.port,
      User: sshd.user,
      IdentityFile: join(secrets, "id"),
      IdentityAgent: "none",
      UserKnownHostsFile: join(secrets, "known_hosts"),
      GlobalKnownHostsFile: "/dev/null",
    });
    await config.add("testhost", {});
    const env = {
      PATH: process.env["PATH"],
      AT: place.path,
      HOME: home,
      TMPDIR: home,
      TUND_SSH_CONFIG: config.path,
      TUND_LOG_FORMAT: "json",
    };
    const within = [...NAMESPACES, "sh", "-c", CONTAINER, "sh", ...AS];
    const tund = await startInBackground("unshare", [...within, process.execPath, program("tund")], {
      env,
      cwd: "/",
    });
    const inside = (): number => {
      const [pid] = descendantsNamed(tund.pid, "node");
      if (pid === undefined) throw new Error(`tund does not run: ${tund.log()}`);
      return pid;
    };
    onTestFinished(async () => {
      // What changes its user does not end with unshare(1).
      for (const pid of descendants(tund.pid).toReversed()) signal(pid, "SIGKILL");
      tund.kill("SIGKILL");
      await tund.end;
    });
    await eventually(() => expect(tund.log()).toContain("tund is ready"), { deadlineMs: 20_000 });
    const tunctl = (...args: string[]): Promise<Outcome> => {
      const entering = ["--target", `${inside()}`, "--mount", "--pid", ...AS];
      return run("nsenter", [...entering, process.execPath, program("tunctl"), ...args], { env, cwd: "/" });
    };
    const port = await freePort();
    expect(await tunctl("forward", "-L", `${port}:127.0.0.1:${echo.port}`, "testhost")).toMatchObject({
      code: 0,
      stderr: "",
    });
    const socket = await dialLoopback(port);
    expect(await echoed(socket, "hello")).toBe("hello");
    const { code, stdout } = await tunctl("doctor");
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/orphans +tund is PID 1/) as string,
    });
    expect(tund.log()).not.toContain(`"level":"error"`);
    // One connection stands, so it takes the whole of the time that stopping takes.
    const begun = performance.now();
    signal(inside(), "SIGTERM");
    await tund.end;
    const took = performance.now() - begun;
    socket.destroy();
    console.log(`measured: a stop with a connection took ${(took / 1000).toFixed(1)} s`);
    expect(tund.log()).toContain(`"stopped"`);
  },
);

it("logs in and forwards within an address space of 2 GB", async ({ skip }) => {
  const limit = ["prlimit", `--as=${2 * 1024 ** 3}`];
  if (spawnSync("prlimit", ["--as=unlimited", "true"]).status !== 0) skip("there is no prlimit (util-linux)");
  const sshd = await server();
  const echo = await echoServer();
  onTestFinished(() => echo.close());
  const tund = await startTund({ within: limit, env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  onTestFinished(async () => void (await tund.stop()));
  const port = await freePort();
  const forward = await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${echo.port}`, "testhost"]);
  expect(forward).toMatchObject({ code: 0, stderr: "" });
  const text = "a text of some length ".repeat(100_000);
  const socket = await dialLoopback(port);
  expect(await echoed(socket, text)).toBe(text);
  socket.destroy();
  const status = await readFile(`/proc/${tund.pid}/status`, "utf8");
  console.log(`measured: ${/VmPeak:.*/.exec(status)?.[0] ?? "no VmPeak"}`);
});

describe("two tunds of one user", () => {
  it("stand side by side where the second does as it was told by the message that it ended with", async () => {
    const first = await startTund();
    onTestFinished(async () => void (await first.stop()));
    const env = {
      PATH: process.env["PATH"],
      HOME: first.home,
      TUND_SSH_CONFIG: join(first.home, "ssh_config"),
      TUND_STATE_DIR: join(first.home, "state"),
      TUND_SOCKET: first.socket,
    };
    const tund = (more: Record<string, string>) =>
      run(process.execPath, [program("tund")], { env: { ...env, ...more } });
    expect((await tund({})).stderr).toMatch(/a TUND_STATE_DIR and a TUND_SOCKET of its own/);
    expect((await tund({ TUND_SOCKET: join(first.home, "run", "tund", "b.sock") })).stderr).toMatch(
      /another tund uses the state directory .*, or set TUND_STATE_DIR\n$/,
    );
    const second = await startTund();
    onTestFinished(async () => void (await second.stop()));
    for (const one of [first, second])
      expect((await one.tunctl(["status"])).stdout).toContain(`pid=${one.pid}`);
  });

  it("need no more than a TUND_STATE_DIR each where XDG_RUNTIME_DIR is not set, as in a container", async () => {
    const place = await tempDir();
    onTestFinished(() => place.remove());
    for (const job of ["a", "b"]) {
      const state = join(place.path, job);
      const env = { XDG_RUNTIME_DIR: undefined, TUND_STATE_DIR: state, TUND_SOCKET: undefined };
      await writeFile(join(place.path, "ssh_config"), "");
      const more = { ...env, HOME: place.path, PATH: process.env["PATH"], TUND_LOG_FORMAT: "json" };
      const tund = await startInBackground(process.execPath, [program("tund")], { env: more, cwd: "/" });
      onTestFinished(async () => {
        tund.kill("SIGTERM");
        await tund.end;
      });
      await eventually(() => expect(tund.log()).toContain("tund is ready"), { deadlineMs: 20_000 });
      const { stdout } = await run(process.execPath, [program("tunctl"), "status"], { env: more });
      expect(stdout).toContain(`pid=${tund.pid}`);
    }
  });
});
