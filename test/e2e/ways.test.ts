// ProxyJump and ProxyCommand: hosts that cannot be dialled directly, beside the real ssh.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Forward, Master } from "../../shared/records.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startHome } from "../support/home.ts";
import { programsOf, living } from "../support/process-tree.ts";
import { run } from "../support/run.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { works } from "../support/tcp.ts";

let [first, second, inner]: Sshd[] = [];
let echo: LoopbackServer;
let config = "";

beforeAll(async () => {
  [first, second, inner] = await Promise.all([startSshd(), startSshd(), startSshd()]);
  echo = await echoServer();
  await far(first).addHost("first");
  await far(second).addHost("second");
  await far(second).addHost("behind-first", { ProxyJump: "first" });
  await far(inner).addHost("inner");
  await far(inner).addHost("deep", { ProxyJump: "behind-first" });
  await far(inner).addHost("listed", { ProxyJump: "first,second" });
  for (let n = 0; n < 10; n++)
    await far(inner).addHost(`many${n}`, { ProxyJump: "first", ServerAliveInterval: 100 + n });
  config = join(far(first).directory, "all_config");
  await writeConfig();
});
afterAll(async () => {
  await Promise.all([first, second, inner].map(async (each) => each?.stop()));
  await echo?.close();
});

const far = (sshd: Sshd | undefined): Sshd => {
  if (sshd === undefined) throw new Error("not set up yet");
  return sshd;
};

async function writeConfig(): Promise<void> {
  const texts = await Promise.all(
    [first, second, inner].map((each) => readFile(far(each).sshConfig, "utf8")),
  );
  await writeFile(config, texts.join("\n"));
}

async function startDaemon(): Promise<Tund> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: config } });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

async function ok(tund: Tund, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tund.tunctl(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

async function masters(tund: Tund): Promise<Record<string, Master>> {
  const { masters: all } = JSON.parse(await ok(tund, "status", "--json")) as { masters: Master[] };
  return Object.fromEntries(all.map((master) => [master.host, master]));
}

/** Sets up a forward to the echo over a host, and sees it work. */
async function forwardOver(tund: Tund, ...host: string[]): Promise<number> {
  const port = await freePort();
  await ok(tund, "forward", "-L", `${port}:127.0.0.1:${echo.port}`, ...host);
  await works(port);
  return port;
}

describe("ProxyJump", () => {
  it("leads over any number of hops, each a master of its own, as ssh has them in a row", async () => {
    const tund = await startDaemon();
    await forwardOver(tund, "deep");
    const { deep, first: nearest, "behind-first": next } = await masters(tund);
    expect(deep?.via).toEqual(["first", "behind-first"]);
    expect(next?.via).toEqual(["first"]);
    expect(nearest?.via).toEqual([]);
    expect([deep, next, nearest].map((master) => master?.state)).toEqual(["ready", "ready", "ready"]);
    const { code } = await run("ssh", ["-F", config, "deep", "true"]);
    expect(code).toBe(0);
  });

  it("takes several hops in one line, and -J on the command line", async () => {
    const tund = await startDaemon();
    await forwardOver(tund, "listed");
    expect((await masters(tund))["listed"]?.via).toEqual(["first", "first,second"]);
    await ok(tund, "exit", "listed");
    await forwardOver(tund, "-J", "first,second", "inner");
    expect(Object.keys(await masters(tund)).sort()).toEqual(["first", "first,second", "inner"]);
  });

  it("has ten hosts behind one cost one connection to it", async () => {
    const tund = await startDaemon();
    const before = logins(far(first));
    await Promise.all(Array.from({ length: 10 }, (_, n) => forwardOver(tund, `many${n}`)));
    expect(logins(far(first)) - before).toBe(1);
    expect(Object.keys(await masters(tund))).toHaveLength(11);
  });

  it("ends a hop that nobody asked for when the last host behind it has ended", async () => {
    const tund = await startDaemon();
    await ok(tund, "connect", "many0");
    await ok(tund, "connect", "many1");
    await ok(tund, "exit", "many0");
    expect(Object.keys(await masters(tund)).sort()).toEqual(["first", "many1"]);
    await ok(tund, "exit", "many1");
    await eventually(async () => expect(await masters(tund)).toEqual({}));
    await ok(tund, "connect", "first");
    await ok(tund, "connect", "many0");
    await ok(tund, "exit", "many0");
    expect(Object.keys(await masters(tund))).toEqual(["first"]);
  });

  it("comes back as a whole when the first hop was lost, or was ended by hand", async () => {
    const tund = await startDaemon();
    const port = await forwardOver(tund, "deep");
    far(first).dropSessions();
    await eventually(async () => expect((await masters(tund))["deep"]?.reconnects).toBe(1), {
      deadlineMs: 20_000,
    });
    await eventually(() => works(port), { deadlineMs: 20_000 });
    await ok(tund, "exit", "first");
    await eventually(async () => expect((await masters(tund))["deep"]?.reconnects).toBe(2), {
      deadlineMs: 20_000,
    });
    await eventually(() => works(port), { deadlineMs: 20_000 });
  });

  it("says which hop is in the way and why, and nothing of it is left", async () => {
    const tund = await startDaemon();
    await far(first).addHost("nowhere", { Port: await freePort() });
    await far(inner).addHost("behind-nowhere", { ProxyJump: "nowhere" });
    await far(inner).addHost("refused", { ProxyJump: "first", Port: await freePort() });
    await far(inner).addHost("round", { ProxyJump: "about" });
    await far(inner).addHost("about", { ProxyJump: "round" });
    await writeConfig();
    const outcome = await tund.tunctl(["connect", "behind-nowhere"]);
    expect(outcome).toMatchObject({ code: 1 });
    expect(outcome.stderr).toMatch(
      /^tunctl: by way of nowhere: cannot reach 127\.0\.0\.1:\d+: connection refused\n$/,
    );
    expect((await tund.tunctl(["connect", "refused"])).stderr).toContain(
      "by way of first: connect failed: Connection refused",
    );
    const round = await tund.tunctl(["connect", "round"]);
    expect(round).toMatchObject({ code: 1 });
    expect(round.stderr).toContain("ProxyJump goes in a circle");
    await eventually(async () => expect(await masters(tund)).toEqual({}));
  });

  it("lets go on at once who could not for want of a hop that failed", async () => {
    const tund = await startDaemon();
    const port = await forwardOver(tund, "deep");
    await far(second).down();
    await eventually(async () =>
      expect((await masters(tund))["deep"]?.failure?.message).toContain("by way of behind-first: "),
    );
    const list = JSON.parse(await ok(tund, "list", "--json")) as { forwards: Forward[] };
    expect(list.forwards).toMatchObject([{ state: "active", host: "deep" }]); // its listener stays
    await far(second).up();
    await ok(tund, "reconnect", "behind-first");
    await eventually(() => works(port), { deadlineMs: 20_000 });
  });

  it("is there again when the daemon is, with the hosts behind it", async () => {
    const home = await startHome({ TUND_SSH_CONFIG: config });
    const tund = await home.start();
    const port = await forwardOver(tund, "-J", "first,second", "inner");
    await tund.stop("SIGKILL");
    const again = await home.start();
    await eventually(() => works(port), { deadlineMs: 20_000 });
    expect((await masters(again))["inner"]?.via).toEqual(["first", "first,second"]);
  });
});

describe("ProxyCommand", () => {
  /** Adds a host that is reached by it. */
  async function commanded(name: string, command: string, more: Record<string, string | number> = {}) {
    await far(inner).addHost(name, {
      ProxyCommand: command,
      HostKeyAlias: `[127.0.0.1]:${far(inner).port}`,
      ...more,
    });
    await writeConfig();
  }

  it("is run with its tokens expanded, and leads there", async () => {
    const tund = await startDaemon();
    await commanded("by-ssh", `ssh -F ${config} -W [%h]:%p first`);
    const port = await forwardOver(tund, "by-ssh");
    const [child] = programsOf(tund.pid);
    expect(living([child ?? 0])).toEqual([child]);
    process.kill(child ?? 0, "SIGKILL");
    await eventually(async () => expect((await masters(tund))["by-ssh"]?.reconnects).toBe(1), {
      deadlineMs: 20_000,
    });
    expect((await masters(tund))["by-ssh"]?.failure?.message).toContain(
      "ProxyCommand of by-ssh: it was ended by SIGKILL",
    );
    await works(port);
    await ok(tund, "exit", "by-ssh");
    await eventually(() => expect(programsOf(tund.pid)).toEqual([]));
  });

  it("that fails is told with what it said on stderr", async () => {
    const tund = await startDaemon();
    await commanded("broken", "sh -c 'echo no way to %n >&2; exit 3'");
    expect(await tund.tunctl(["connect", "broken"])).toMatchObject({
      code: 1,
      stderr: "tunctl: ProxyCommand of broken: it ended with exit code 3: no way to broken\n",
    });
    await commanded("absent", "/nonexistent/program %h");
    expect((await tund.tunctl(["connect", "absent"])).stderr).toMatch(
      /^tunctl: ProxyCommand of absent: it ended with exit code 12[67]: .*\/nonexistent\/program/,
    );
  });

  it("that says nothing is given up in time and ended, with all that it started", async () => {
    const tund = await startDaemon();
    await commanded("silent", "sh -c 'sleep 1000 & trap \"\" HUP; echo started >&2; wait; sleep 1000'", {
      ConnectTimeout: 1,
    });
    const outcome = await tund.tunctl(["connect", "silent"]);
    expect(outcome.code).toBe(8);
    expect(outcome.stderr).toContain("no SSH version within 1 s");
    await eventually(() => expect(programsOf(tund.pid)).toEqual([]));
  });
});

const logins = (sshd: Sshd): number => sshd.log().match(/^Accepted publickey /gm)?.length ?? 0;

describe("the link itself", () => {
  /** Connects `inner` with these settings, and gives what its server said of the connection. */
  async function connected(settings: Record<string, string | number>): Promise<string> {
    const tund = await startDaemon();
    const name = `link-${Object.keys(settings).join("-")}`;
    await far(inner).addHost(name, settings);
    await writeConfig();
    const before = far(inner).log().length;
    await forwardOver(tund, name);
    return far(inner).log().slice(before);
  }

  it("comes from BindAddress, or from an address of BindInterface", async () => {
    expect(await connected({ BindAddress: "127.0.0.2" })).toContain("Connection from 127.0.0.2 ");
    expect(await connected({ BindInterface: "lo" })).toContain("Connection from 127.0.0.1 ");
    const tund = await startDaemon();
    await far(inner).addHost("no-interface", { BindInterface: "nothere0" });
    await writeConfig();
    expect((await tund.tunctl(["connect", "no-interface"])).stderr).toContain(
      "BindInterface nothere0 has no IPv4 address here",
    );
  });

  it("is compressed under Compression, and has the algorithms that were chosen", async () => {
    await connected({ Compression: "yes" });
    expect(
      await connected({
        Ciphers: "aes256-ctr",
        MACs: "umac-128-etm@openssh.com,hmac-sha2-512-etm@openssh.com", // tund does not have the first
        KexAlgorithms: "ecdh-sha2-nistp384",
        LogLevel: "QUIET",
      }),
    ).toContain("Accepted publickey");
  });

  it("is of the family that AddressFamily says, and tried as often as ConnectionAttempts", async () => {
    await connected({
      HostName: "localhost",
      HostKeyAlias: `[127.0.0.1]:${far(inner).port}`,
      AddressFamily: "inet",
    });
    const tund = await startDaemon();
    await far(inner).addHost("six", { HostName: "127.0.0.1", AddressFamily: "inet6" });
    const port = await freePort();
    await far(inner).addHost("twice", { Port: port, ConnectionAttempts: 2 });
    await writeConfig();
    expect((await tund.tunctl(["connect", "six"])).stderr).toContain("cannot resolve 127.0.0.1");
    const began = performance.now();
    expect((await tund.tunctl(["connect", "twice"])).stderr).toContain("connection refused");
    expect(performance.now() - began).toBeGreaterThanOrEqual(1000); // between the two, as ssh waits
  });
});

it("a hop that ends as the last host behind it does is connected anew for who comes meanwhile", async () => {
  const tund = await startDaemon();
  await ok(tund, "connect", "many0");
  for (let n = 0; n < 9; n++) {
    const came = Array.from({ length: 3 }, () => ok(tund, "connect", `many${n + 1}`));
    expect((await Promise.all([ok(tund, "exit", `many${n}`), ...came])).join("")).toBe("");
  }
});
