// What blocks for one host blocks no other: names that no resolver answers for, and files that hang.
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { works } from "../support/tcp.ts";
import { tempDir } from "../support/temp-dir.ts";
import type { Master } from "../../shared/records.ts";

const isRoot = process.getuid?.() === 0 && process.platform === "linux";
const hasFuse = isRoot && existsSync("/dev/fuse") && mountsFuse();
if (!isRoot) console.log("skipped: a silent resolver needs root, to mount a resolv.conf of its own");
if (process.platform !== "linux") console.log("skipped: threads are counted in /proc, which is Linux's");
if (!hasFuse) console.log("skipped: a disk that hangs needs root and FUSE");

function mountsFuse(): boolean {
  const script = "mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none /mnt 3<>/dev/fuse";
  return spawnSync("unshare", ["-m", "sh", "-c", script]).status === 0;
}

let sshd: Sshd;
let echo: Awaited<ReturnType<typeof echoServer>>;
beforeAll(async () => {
  [sshd, echo] = await Promise.all([startSshd(), echoServer()]);
});
afterAll(async () => {
  await Promise.all([sshd?.stop(), echo?.close()]);
});

async function start(within: readonly string[] = []): Promise<Tund> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig }, within });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

const masters = async (tund: Tund): Promise<Master[]> =>
  (JSON.parse((await tund.tunctl(["status", "--json"])).stdout) as { masters: Master[] }).masters;

/** A new forward of the host that is well, and a remote one to `localhost`: the ports that lead to an echo. */
async function forwards(tund: Tund): Promise<{ local: number; remote: number }> {
  const [local, remote] = await Promise.all([freePort(), freePort()]);
  const specs = ["-L", `${local}:127.0.0.1:${echo.port}`, "-R", `${remote}:localhost:${echo.port}`];
  expect(await tund.tunctl(["forward", ...specs, "testhost"])).toMatchObject({ code: 0, stderr: "" });
  return { local, remote };
}

describe("names that no resolver answers for", () => {
  it.skipIf(!isRoot)(
    "do not delay the remote forward to localhost, nor new forwards, of another host",
    async () => {
      const directory = await tempDir();
      const silent = createSocket("udp4");
      onTestFinished(async () => {
        silent.close();
        await directory.remove();
      });
      const address = `127.${process.pid & 0xff}.${(process.pid >> 8) & 0xff}.53`;
      await new Promise<void>((bound) => silent.bind(53, address, bound));
      let queries = 0;
      silent.on("message", () => queries++);
      const resolvConf = join(directory.path, "resolv.conf");
      await writeFile(resolvConf, `nameserver ${address}\n`);
      const tund = await start([
        "unshare",
        "-m",
        "sh",
        "-c",
        `mount --bind ${resolvConf} /etc/resolv.conf; exec "$@"`,
        "sh",
      ]);
      const { remote } = await forwards(tund);
      const dead = Array.from({ length: 8 }, (_, index) => `dead${index}`);
      for (const name of dead) {
        await sshd.addHost(name, { HostName: `${name}.corp.example`, Port: 22 });
        const spec = `${await freePort()}:127.0.0.1:1`;
        await tund.tunctl(["forward", "--no-wait", "-L", spec, name]);
      }
      await eventually(() => queries > 0);
      await works(remote);
      const more = await forwards(tund);
      await works(more.local);
      await works(more.remote);
      // They are still being looked up: nobody waited for that.
      const waiting = (await masters(tund)).filter(
        ({ host, state }) => dead.includes(host) && state === "connecting",
      );
      expect(waiting.length).toBeGreaterThan(0);
    },
  );
});

describe("files that hang", () => {
  it("are refused at once where they are FIFOs, by name, and the key beside them is used", async () => {
    const tund = await start();
    const fifos = Array.from({ length: 8 }, (_, index) => join(sshd.directory, `fifo${index}`));
    expect(spawnSync("mkfifo", fifos).status).toBe(0);
    const files = [...fifos, sshd.identity].map((path) => `IdentityFile ${path}`).join("\n  ");
    await sshd.addHost("slow", { IdentitiesOnly: `yes\n  ${files}` });
    await sshd.addHost("nothing", { IdentityFile: fifos[0] ?? "", PreferredAuthentications: "publickey" });
    expect(await tund.tunctl(["connect", "slow"])).toMatchObject({ code: 0 });
    const { code, stderr } = await tund.tunctl(["connect", "nothing"]);
    expect({ code, stderr }).toEqual({
      code: 7,
      stderr: expect.stringContaining(`${fifos[0]}: it is a FIFO, not a regular file`) as string,
    });
  });

  it("refuse every host key where they are known hosts or a list of revoked ones, by name", async () => {
    const tund = await start();
    const fifo = join(sshd.directory, "known-fifo");
    expect(spawnSync("mkfifo", [fifo]).status).toBe(0);
    await sshd.addHost("unknown", { UserKnownHostsFile: fifo, StrictHostKeyChecking: "accept-new" });
    await sshd.addHost("unrevoked", { RevokedHostKeys: fifo });
    for (const host of ["unknown", "unrevoked"]) {
      const { code, stderr } = await tund.tunctl(["connect", host]);
      expect(code).not.toBe(0);
      expect(stderr).toContain("no host key is taken while");
      expect(stderr).toContain(fifo);
      expect(stderr).toContain("it is a FIFO, not a regular file");
    }
  });

  it.skipIf(!hasFuse)(
    "on a disk that is away delay no other host, are named, and do not keep tund from ending",
    async () => {
      const disk = join(sshd.directory, "disk");
      await mkdir(disk);
      // A file system that nobody serves: whoever looks at it waits. The sleeper holds it for as long as the daemon lives.
      const script = [
        "exec 3<>/dev/fuse",
        `mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none ${disk}`,
        `(while kill -0 $$ 2>/dev/null; do sleep 1; done) </dev/null >/dev/null 2>&1 &`,
        "exec 3>&-",
        'exec "$@"',
      ].join("\n");
      const tund = await start(["unshare", "-m", "sh", "-c", script, "sh"]);
      const away = Array.from({ length: 6 }, (_, index) => join(disk, `id${index}`));
      const files = away.join("\n  IdentityFile ");
      await sshd.addHost("away", { IdentityFile: files, PreferredAuthentications: "publickey" });
      await sshd.addHost("beside", {
        IdentityFile: `${files}
  IdentityFile ${sshd.identity}`,
      });
      await sshd.addHost("known-away", { UserKnownHostsFile: join(disk, "known_hosts") });
      const connecting = tund.tunctl(["connect", "away"]);
      await eventually(async () => (await masters(tund)).some(({ host }) => host === "away"));
      const { local, remote } = await forwards(tund);
      await works(local);
      await works(remote);
      expect((await masters(tund)).find(({ host }) => host === "away")?.state).toBe("connecting");
      const { code, stderr } = await connecting;
      // It may be there the next time: nothing that only a person could cure.
      expect({ code, stderr }).toEqual({
        code: 8,
        stderr: expect.stringContaining(`${away[0]}: it did not answer within 5 s`) as string,
      });
      expect(await tund.tunctl(["connect", "beside"])).toMatchObject({ code: 0 });
      const known = await tund.tunctl(["connect", "known-away"]);
      expect(known.code).not.toBe(0);
      expect(known.stderr).toContain(join(disk, "known_hosts"));
      expect(await tund.stop()).toEqual({ code: 0, signal: null });
    },
  );
});

describe("the threads for calls that block", () => {
  it.skipIf(process.platform !== "linux")(
    "are more than Node has by itself, and no matter of the programs that tund starts",
    async () => {
      const tund = await start();
      expect(readdirSync(`/proc/${tund.pid}/task`).length).toBeGreaterThan(64);
      const said = join(sshd.directory, "environment");
      await sshd.addHost("by-command", { ProxyCommand: `sh -c 'env > ${said}; exit 1'` });
      await tund.tunctl(["connect", "by-command"]);
      expect(await readFile(said, "utf8")).toContain("TUND_SOCKET");
      expect(await readFile(said, "utf8")).not.toContain("UV_THREADPOOL_SIZE");
    },
  );
});
