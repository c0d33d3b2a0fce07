// Keywords of ssh_config that the machine's ssh may be too old for: asked of a newer one.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { newerOpenSsh } from "../support/newer-openssh.ts";
import { makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, dialPath, echoed, endOf } from "../support/tcp.ts";

// All that is asked for here came until then.
const openSsh = await newerOpenSsh(10, 3);

let sshd: Sshd;
let tund: Tund;
let echo: LoopbackServer;
let names = 0;

beforeAll(async () => {
  if (openSsh === null) return;
  sshd = await startSshd({ config: ["LogLevel DEBUG"] });
  const env = { TUND_SSH_CONFIG: sshd.sshConfig, PATH: `${openSsh.bin}:${process.env["PATH"]}` };
  tund = await startTund({ env });
  echo = await echoServer();
});
afterAll(async () => {
  await tund?.stop();
  await echo?.close();
  await sshd?.stop();
});

/** Adds a host with these settings for the running test. */
async function host(settings: Readonly<Record<string, string | number>>): Promise<string> {
  const name = `host-${names++}`;
  await sshd.addHost(name, settings);
  onTestFinished(async () => void (await tund.tunctl(["exit", name])));
  return name;
}

async function ok(...args: string[]): Promise<void> {
  expect(await tund.tunctl(args)).toMatchObject({ code: 0, stderr: "" });
}

describe.skipIf(openSsh === null)("of a newer ssh_config", () => {
  it("RefuseConnection refuses, with the words that it has", async () => {
    const refused = await host({ RefuseConnection: '"ask the owner first"' });
    const { code, stderr } = await tund.tunctl(["connect", refused]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/RefuseConnection: ask the owner first\n$/);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it("Tag chooses what Match tagged says", async () => {
    const way = "ProxyCommand echo by the inner way >&2";
    const tagged = await host({ Tag: `inner\nMatch tagged inner\n  ${way}` });
    expect((await tund.tunctl(["connect", tagged])).stderr).toContain("by the inner way");
    await ok("connect", await host({ Tag: `outer\nMatch tagged inner\n  ${way}` }));
  });

  it("VersionAddendum is said in the version exchange", async () => {
    await ok("connect", await host({ VersionAddendum: "from the lab" }));
    expect(sshd.log()).toMatch(/remote software version tund from the lab/);
    await ok("connect", await host({ ObscureKeystrokeTiming: "interval:80" }));
  });

  it("RevokedHostKeys has several files, one of which revokes, or is not there", async () => {
    const file = async (name: string, line: string) => {
      const path = join(sshd.directory, name);
      await writeFile(path, `${line}\n`);
      return path;
    };
    const stranger = await makeKey(join(sshd.directory, "stranger"), "ed25519");
    const other = await file("other", stranger.publicKey);
    const another = await file("an other", stranger.publicKey);
    await ok("connect", await host({ RevokedHostKeys: `${other} "${another}"` }));
    const own = await file("an own", sshd.hostKeys[0]?.publicKey ?? "");
    const revoked = await host({ RevokedHostKeys: `${other} "${own}"` });
    const { code, stderr } = await tund.tunctl(["connect", revoked]);
    expect({ code, stderr }).toEqual({
      code: 6,
      stderr: expect.stringContaining(`is revoked by ${own}`) as string,
    });
    expect(await tund.tunctl(["trust", revoked])).toMatchObject({ code: 6 });
    const missing = await host({ RevokedHostKeys: `${other} ${join(sshd.directory, "missing")}` });
    const unread = await tund.tunctl(["connect", missing]);
    expect(unread).toMatchObject({
      code: 6,
      stderr: expect.stringContaining("missing cannot be read") as string,
    });
  });
});

describe.skipIf(openSsh === null)("ChannelTimeout", () => {
  /** Forwards to the echo over a host, one of each kind, and what opens a connection through each. */
  async function everyKind(name: string) {
    const [local, dynamic, remote, through] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const path = join(sshd.directory, `echo-${names}`);
    const unix = await echoServer({ path });
    onTestFinished(() => unix.close());
    const far = join(sshd.directory, `far-${names}`);
    const to = `127.0.0.1:${echo.port}`;
    await ok("forward", "-L", `${local}:${to}`, "-D", String(dynamic), "-R", `${remote}:${to}`, name);
    await ok("forward", "-L", `${through}:${path}`, "-R", `${far}:${to}`, name);
    return {
      "direct-tcpip": () => dialLoopback(local),
      "direct-streamlocal@openssh.com": () => dialLoopback(through),
      "forwarded-tcpip": () => dialLoopback(remote),
      "forwarded-streamlocal@openssh.com": () => dialPath(far),
    };
  }

  it.each([
    "direct-tcpip",
    "direct-streamlocal@openssh.com",
    "forwarded-tcpip",
    "forwarded-streamlocal@openssh.com",
  ] as const)(
    "of %s closes those that are idle, and leaves the busy and those of other types",
    async (type) => {
      const opening = await everyKind(await host({ ChannelTimeout: `${type}=2s *=0` }));
      const idle = await opening[type]();
      const busy = await opening[type]();
      const others = await Promise.all(
        (Object.keys(opening) as (typeof type)[])
          .filter((other) => other !== type)
          .map((other) => opening[other]()),
      );
      for (const socket of [idle, busy, ...others]) expect(await echoed(socket, "first")).toBe("first");
      const ended = new AbortController();
      const ending = endOf(idle).then(() => ended.abort());
      const began = performance.now();
      while (!ended.signal.aborted) {
        expect(await echoed(busy, "again")).toBe("again");
        await Promise.race([ending, new Promise((go) => setImmediate(go))]);
      }
      expect(performance.now() - began).toBeGreaterThan(1500);
      for (const socket of [busy, ...others]) {
        expect(await echoed(socket, "still")).toBe("still");
        socket.destroy();
      }
      expect(tund.log()).toContain("idle channel closed (ChannelTimeout)");
    },
  );

  it("of global closes all when none is busy, and the master stays", async () => {
    const name = await host({ ChannelTimeout: "global=2s" });
    const opening = await everyKind(name);
    const [idle, busy] = [await opening["direct-tcpip"](), await opening["forwarded-tcpip"]()];
    expect(await echoed(idle, "first")).toBe("first");
    const began = performance.now();
    while (performance.now() - began < 4000) expect(await echoed(busy, "again")).toBe("again");
    expect(await echoed(idle, "still")).toBe("still");
    await Promise.all([endOf(idle), endOf(busy)]);
    await ok("check", name);
  });
});
