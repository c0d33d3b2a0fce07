// What one server's protocol does to the daemon and to everybody else: nothing.
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import type { Connection } from "ssh2";
import { describe, expect, it, onTestFinished } from "vitest";
import { sshString, uint32 } from "../../daemon/wire-format.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer, sourceServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { offerPacketSize, type RawServerOptions, say, startRawServer } from "../support/raw-server.ts";
import { run } from "../support/run.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, readAll, works } from "../support/tcp.ts";

interface Beside {
  tund: Tund;
  /** the pid, and a forward to another host, are what they were */
  isUnharmed(): Promise<void>;
}

/** A daemon that knows the hosts of these files, and serves a forward to a host that nothing happens to. */
async function startBeside(...configs: readonly string[]): Promise<Beside> {
  const steady = await startSshd();
  await steady.addHost("steady");
  const echo = await echoServer();
  const file = join(steady.directory, "all_config");
  const texts = await Promise.all([...configs, steady.sshConfig].map((path) => readFile(path, "utf8")));
  await writeFile(file, texts.join("\n"));
  const tund = await startTund({ env: { TUND_SSH_CONFIG: file } });
  onTestFinished(async () => {
    await tund.stop();
    await Promise.all([steady.stop(), echo.close()]);
  });
  const port = await freePort();
  const made = await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${echo.port}`, "steady"]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  const isUnharmed = async () => {
    await works(port);
    const { stdout } = await tund.tunctl(["status", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ daemon: { pid: tund.pid } });
  };
  return { tund, isUnharmed };
}

async function sshdWith(config: readonly string[] = []): Promise<Sshd> {
  const sshd = await startSshd({ config });
  onTestFinished(() => sshd.stop());
  return sshd;
}

/** Passes connections on, and cuts them once the server has sent so many bytes. */
async function startCutting(to: number, bytes: number): Promise<number> {
  const open = new Set<Socket>();
  const server = createServer((from) => {
    const there = connect(to, "127.0.0.1");
    for (const socket of [from, there]) {
      open.add(socket.on("error", () => undefined));
      socket.once("close", () => [from, there].forEach((each) => each.destroy()));
    }
    from.pipe(there);
    let sent = 0;
    there.on("data", (chunk: Buffer) => {
      from.write(chunk);
      if ((sent += chunk.length) > bytes) from.end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

describe("a verdict on a host key", () => {
  it("that takes time and comes after the server has gone ends nothing but the attempt", async () => {
    const sshd = await sshdWith();
    const list = join(sshd.directory, "krl");
    const stranger = join(sshd.directory, "stranger");
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", stranger]);
    await run("ssh-keygen", ["-q", "-k", "-f", list, `${stranger}.pub`]);
    // Its version and KEXINIT have fewer bytes, with its key there are more.
    const port = await startCutting(sshd.port, 1300);
    await sshd.addHost("cut", { Port: port, UserKnownHostsFile: "/dev/null", RevokedHostKeys: list });
    const { tund, isUnharmed } = await startBeside(sshd.sshConfig);
    for (let times = 0; times < 3; times++)
      expect(await tund.tunctl(["connect", "cut"])).toMatchObject({
        code: expect.toSatisfy((n) => n !== 0) as number,
      });
    await isUnharmed();
  });

  it.each(["yes", "no"])(
    "%s that comes after LoginGraceTime ends nothing but the attempt",
    async (answer) => {
      const sshd = await sshdWith(["LoginGraceTime 1"]);
      await sshd.addHost("slow", { UserKnownHostsFile: "/dev/null" });
      const { tund, isUnharmed } = await startBeside(sshd.sshConfig);
      const tunctl = tund.atTerminal(["connect", "slow"]);
      await tunctl.shows("(yes/no/[fingerprint])? ");
      await eventually(() => sshd.sessions().length === 0);
      tunctl.types(`${answer}\r`);
      expect(await tunctl.end).not.toBe(0);
      await isUnharmed();
    },
  );
});

describe("Compression", () => {
  const compressed = { Compression: "yes" };

  it("of a link that breaks during a download ends nothing but the link", async () => {
    const sshd = await sshdWith();
    await sshd.addHost("zip", compressed);
    const { tund, isUnharmed } = await startBeside(sshd.sshConfig);
    const source = await sourceServer(1024 ** 3);
    onTestFinished(() => source.close());
    const port = await freePort();
    await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${source.port}`, "zip"]);
    for (let times = 0; times < 3; times++) {
      const [reader, stalled] = [await dialLoopback(port), await dialLoopback(port)];
      const over = readAll(reader).catch(() => undefined);
      await eventually(() => reader.bytesRead > 1024 ** 2 && source.connections().open >= 2);
      sshd.dropSessions();
      await over;
      stalled.destroy();
    }
    await isUnharmed();
  });

  it("of a link that breaks while a client of remote SOCKS has not spoken ends nothing but the link", async () => {
    const sshd = await sshdWith();
    await sshd.addHost("zip", compressed);
    const { tund, isUnharmed } = await startBeside(sshd.sshConfig);
    const { stdout } = await tund.tunctl(["forward", "-R", "0", "zip"]);
    const silent = await dialLoopback(Number(stdout));
    await eventually(async () => {
      const { stdout: list } = await tund.tunctl(["status", "--json", "zip"]);
      expect(JSON.parse(list)).toMatchObject({ masters: [{ channels: 1 }] });
    });
    sshd.dropSessions();
    await readAll(silent).catch(() => undefined);
    await isUnharmed();
  });

  it("takes no packet that would come to a million times its size", async () => {
    const bomb = Buffer.concat([Buffer.from([2]), sshString(Buffer.alloc(8 * 1024 * 1024))]);
    const server = await startRawServer({
      onConnection: (client) => client.on("ready", () => say(client, bomb)),
    });
    onTestFinished(() => server.stop());
    await server.addHost("bomb", compressed);
    const { tund, isUnharmed } = await startBeside(server.sshConfig);
    await tund.tunctl(["connect", "bomb"]);
    await eventually(() => expect(tund.log()).toMatch(/Output length exceeded|Bad packet length/));
    await isUnharmed();
  });
});

describe("a maximum packet size", () => {
  const listens = (bytes: number, opened: (error: Error | undefined) => void): RawServerOptions => ({
    onConnection: (client: Connection) =>
      client.on("request", (accept, _reject, name, info) => {
        accept?.();
        if (name !== "tcpip-forward" || !("bindAddr" in info)) return;
        offerPacketSize(client, bytes);
        client.forwardOut(info.bindAddr, info.bindPort, "127.0.0.1", 1, (error) => opened(error));
      }),
  });

  it.each([0, 1, 1023])(
    "of %i bytes, of a channel that the server opens, is refused and said",
    async (bytes) => {
      let failure: Error | undefined;
      const server = await startRawServer(listens(bytes, (error) => (failure = error)));
      onTestFinished(() => server.stop());
      const { tund, isUnharmed } = await startBeside(server.sshConfig);
      await tund.tunctl(["forward", "-R", "45678:127.0.0.1:9", "raw"]);
      await eventually(() => failure !== undefined);
      expect(failure?.message).toContain(`its maximum packet size is ${bytes}, and 1024 is the least`);
      await isUnharmed();
    },
  );

  it.each([0, 1, 1023])(
    "of %i bytes, of a channel that we open, fails the connection and is said",
    async (bytes) => {
      const server = await startRawServer({
        onConnection: (client) =>
          client.on("tcpip", (accept) => {
            offerPacketSize(client, bytes);
            accept();
          }),
      });
      onTestFinished(() => server.stop());
      const { tund, isUnharmed } = await startBeside(server.sshConfig);
      const port = await freePort();
      await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:9`, "raw"]);
      expect(await readAll(await dialLoopback(port))).toHaveLength(0);
      const { stdout } = await tund.tunctl(["list", "--json", "raw"]);
      const why = `the server takes packets of ${bytes} bytes at most, and 1024 are the least`;
      expect(JSON.parse(stdout)).toMatchObject({ forwards: [{ failure: { message: why } }] });
      await isUnharmed();
    },
  );

  it("of 1024 bytes carries whatever is sent", async () => {
    const server = await startRawServer({
      onConnection: (client) =>
        client.on("tcpip", (accept) => {
          offerPacketSize(client, 1024);
          const channel = accept();
          channel.pipe(channel);
        }),
    });
    onTestFinished(() => server.stop());
    const { tund } = await startBeside(server.sshConfig);
    const port = await freePort();
    await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:9`, "raw"]);
    const socket = await dialLoopback(port);
    const sent = Buffer.alloc(100_000, "x");
    socket.end(sent);
    expect((await readAll(socket)).equals(sent)).toBe(true);
  });
});

describe("a server that asks, or answers, what is not its turn", () => {
  const USERAUTH_FAILURE = Buffer.concat([Buffer.from([51]), sshString("publickey"), Buffer.from([0])]);

  async function attempt(options: RawServerOptions): Promise<{ said: string; code: number | null }> {
    const server = await startRawServer(options);
    onTestFinished(() => server.stop());
    const { tund, isUnharmed } = await startBeside(server.sshConfig);
    const { code, stderr } = await tund.tunctl(["connect", "raw"]);
    await isUnharmed();
    return { code, said: stderr };
  }

  it("by refusing a request that was not made is let go", async () => {
    const { said } = await attempt({
      onAuthentication: (context, client) => {
        for (let times = 0; times < 3; times++) say(client, USERAUTH_FAILURE);
        context.reject(["publickey"]);
      },
    });
    expect(said).toMatch(/that was not made|authentication failed/);
  });

  it("by speaking of channels before the login is let go", async () => {
    const request = Buffer.concat([Buffer.from([80]), sshString("keepalive@openssh.com"), Buffer.from([1])]);
    const { code, said } = await attempt({
      onAuthentication: (_context, client) => say(client, request),
    });
    expect({ code, said }).toMatchObject({
      code: 1,
      said: expect.stringContaining("before authentication") as string,
    });
  });

  it("by more than 64 KiB of banners is let go", async () => {
    const banner = Buffer.concat([Buffer.from([53]), sshString("x".repeat(30_000)), sshString("")]);
    const { code, said } = await attempt({
      onAuthentication: (_context, client) => {
        for (let times = 0; times < 100; times++) say(client, banner);
      },
    });
    expect({ code, said }).toMatchObject({ code: 1, said: expect.stringContaining("64 KiB") as string });
  });

  it("by a million prompts is let go before there is room made for them", async () => {
    const request = Buffer.concat([
      Buffer.from([60]),
      sshString(""),
      sshString(""),
      sshString(""),
      uint32(30_000_000),
    ]);
    const server = await startRawServer({
      onAuthentication: (context, client) => {
        if (context.method === "none") context.reject(["keyboard-interactive"]);
        else say(client, request);
      },
    });
    onTestFinished(() => server.stop());
    const { tund, isUnharmed } = await startBeside(server.sshConfig);
    const tunctl = tund.atTerminal(["connect", "raw"]);
    expect(await tunctl.end).toBe(1);
    expect(tunctl.shown()).toContain("more than 64 prompts");
    await isUnharmed();
  });

  it("by asking again before it has an answer is let go, and its questions are not kept", async () => {
    const prompt = Buffer.concat([sshString("Code: "), Buffer.from([1])]);
    const request = Buffer.concat([
      Buffer.from([60]),
      sshString(""),
      sshString(""),
      sshString(""),
      uint32(1),
      prompt,
    ]);
    const server = await startRawServer({
      onAuthentication: (context, client) => {
        if (context.method === "none") context.reject(["keyboard-interactive"]);
        else for (let times = 0; times < 10_000; times++) say(client, request);
      },
    });
    onTestFinished(() => server.stop());
    const { tund, isUnharmed } = await startBeside(server.sshConfig);
    const tunctl = tund.atTerminal(["connect", "raw"]);
    expect(await tunctl.end).toBe(1);
    expect(tunctl.shown()).toContain("it asked something else before it had an answer");
    await isUnharmed();
  });

  it("by calling every factor a partial success is let go after ten of them", async () => {
    let tries = 0;
    const server = await startRawServer({
      onAuthentication: (context) => {
        const isPartial = context.method !== "none";
        if (isPartial) tries++;
        context.reject(["keyboard-interactive"], isPartial);
      },
    });
    onTestFinished(() => server.stop());
    const { tund, isUnharmed } = await startBeside(server.sshConfig);
    const tunctl = tund.atTerminal(["connect", "raw"]);
    expect(await tunctl.end).toBe(7);
    expect(tunctl.shown()).toContain("more than 10 factors");
    expect(tries).toBe(11);
    await isUnharmed();
  });

  it("by taking a key that it was not asked about is let go, and nothing is signed", async () => {
    const sshd = await sshdWith();
    const other = Buffer.concat([
      Buffer.from([60]),
      sshString("ssh-rsa"),
      sshString(Buffer.from("another key")),
    ]);
    let signed = 0;
    const server = await startRawServer({
      onAuthentication: (context, client) => {
        if (context.method !== "publickey") return context.reject(["publickey"]);
        if (context.signature !== undefined) signed++;
        for (let times = 0; times < 5; times++) say(client, other);
        return undefined;
      },
    });
    onTestFinished(() => server.stop());
    await server.addHost("keyed", { IdentityFile: sshd.identity, IdentitiesOnly: "yes" });
    const { tund, isUnharmed } = await startBeside(server.sshConfig);
    const { stderr } = await tund.tunctl(["connect", "keyed"]);
    expect(stderr).toContain("it accepted a key that it was not asked about");
    expect(signed).toBe(0);
    await isUnharmed();
  });

  it("by speaking of authentication when it is over begins nothing anew", async () => {
    const server = await startRawServer({
      onConnection: (client) =>
        client.on("ready", () => {
          for (let times = 0; times < 100; times++) say(client, USERAUTH_FAILURE);
        }),
    });
    onTestFinished(() => server.stop());
    const { tund, isUnharmed } = await startBeside(server.sshConfig);
    expect(await tund.tunctl(["connect", "raw"])).toMatchObject({ code: 0 });
    expect(await tund.tunctl(["check", "raw"])).toMatchObject({ code: 0 });
    expect(server.connections()).toBe(1);
    await isUnharmed();
  });
});

describe("a server that asks for more than it reads", () => {
  const flood = (payload: Buffer): RawServerOptions => ({
    onConnection: (client) =>
      client.on("ready", () => {
        const { _sock: socket } = client as unknown as { _sock: Socket };
        socket.pause();
        const again = () => {
          for (let times = 0; times < 500 && socket.writable; times++) say(client, payload);
          if (socket.writable) setImmediate(again);
        };
        again();
      }),
  });
  const name = "unheard-of@example.com";

  it.each([
    ["global requests", Buffer.concat([Buffer.from([80]), sshString(name), Buffer.from([1])])],
    [
      "channels",
      Buffer.concat([Buffer.from([90]), sshString(name), uint32(1), uint32(1 << 20), uint32(1 << 15)]),
    ],
    ["messages that say nothing", Buffer.concat([Buffer.from([2]), sshString("")])],
  ])("of %s is not read faster than 1,000 in a second, and harms nobody", async (_what, payload) => {
    const server = await startRawServer(flood(payload));
    onTestFinished(() => server.stop());
    const { tund, isUnharmed } = await startBeside(server.sshConfig);
    await tund.tunctl(["connect", "raw"]);
    const before = await memory(tund.pid);
    for (let times = 0; times < 20; times++) await isUnharmed();
    expect((await memory(tund.pid)) - before).toBeLessThan(64);
    expect(await tund.tunctl(["exit", "raw"])).toMatchObject({ code: 0 });
  });
});

/** Resident, in MiB. */
async function memory(pid: number): Promise<number> {
  const [, pages = "0"] = (await readFile(`/proc/${pid}/statm`, "latin1")).split(" ");
  return (Number(pages) * 4096) / 1024 ** 2;
}

describe("group exchange", () => {
  it("goes by the groups of a real server, at the login and for new keys", async () => {
    const sshd = await sshdWith(["KexAlgorithms diffie-hellman-group-exchange-sha256"]);
    await sshd.addHost("gex", { RekeyLimit: "16M" });
    const { tund, isUnharmed } = await startBeside(sshd.sshConfig);
    const source = await sourceServer(64 * 1024 ** 2);
    onTestFinished(() => source.close());
    const port = await freePort();
    const made = await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${source.port}`, "gex"]);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect((await readAll(await dialLoopback(port))).length).toBe(64 * 1024 ** 2);
    expect(await tund.tunctl(["check", "gex"])).toMatchObject({ code: 0 });
    await isUnharmed();
  });
});
