// What was under way when a link broke: it ends with the link, and ends nothing else.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { sshString } from "../../daemon/wire-format.ts";
import { sourceServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { say } from "../support/raw-server.ts";
import { run } from "../support/run.ts";
import { dialLoopback, readAll } from "../support/tcp.ts";
import { rawServer, sshdWith, startBeside } from "./beside.ts";

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
    const { tund, harm } = await startBeside(sshd.sshConfig);
    for (let times = 0; times < 3; times++)
      expect(await tund.tunctl(["connect", "cut"])).toMatchObject({
        code: expect.toSatisfy((n) => n !== 0) as number,
      });
    expect(await harm()).toBeNull();
  });

  it.each(["yes", "no"])(
    "%s that comes after LoginGraceTime ends nothing but the attempt",
    async (answer) => {
      const sshd = await sshdWith(["LoginGraceTime 1"]);
      await sshd.addHost("slow", { UserKnownHostsFile: "/dev/null" });
      const { tund, harm } = await startBeside(sshd.sshConfig);
      const tunctl = tund.atTerminal(["connect", "slow"]);
      await tunctl.shows("(yes/no/[fingerprint])? ");
      await eventually(() => sshd.sessions().length === 0);
      tunctl.types(`${answer}\r`);
      expect(await tunctl.end).not.toBe(0);
      expect(await harm()).toBeNull();
    },
  );
});

describe("Compression", () => {
  const compressed = { Compression: "yes" };

  it("of links that break during downloads ends nothing but the links", async () => {
    const sshd = await sshdWith();
    const hosts = ["zip-1", "zip-2", "zip-3", "zip-4"];
    // A master each: two of the same connection would share one.
    for (const [index, host] of hosts.entries())
      await sshd.addHost(host, { ...compressed, ServerAliveInterval: 100 + index });
    const { tund, harm } = await startBeside(sshd.sshConfig);
    const source = await sourceServer(1024 ** 3);
    onTestFinished(() => source.close());
    const ends = hosts.map(async (host) => {
      const port = await freePort();
      await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${source.port}`, host]);
      const [reader, stalled] = [await dialLoopback(port), await dialLoopback(port)];
      const over = readAll(reader).catch(() => undefined);
      await eventually(() => reader.bytesRead > 256 * 1024);
      return { over, stalled };
    });
    const under = await Promise.all(ends);
    sshd.dropSessions();
    await Promise.all(under.map(({ over }) => over));
    for (const { stalled } of under) stalled.destroy();
    expect(await harm()).toBeNull();
  });

  it("of a link that breaks while a client of remote SOCKS has not spoken ends nothing but the link", async () => {
    const sshd = await sshdWith();
    await sshd.addHost("zip", compressed);
    const { tund, harm } = await startBeside(sshd.sshConfig);
    const { stdout } = await tund.tunctl(["forward", "-R", "0", "zip"]);
    const silent = await dialLoopback(Number(stdout));
    await eventually(async () => {
      const { stdout: list } = await tund.tunctl(["status", "--json", "zip"]);
      expect(JSON.parse(list)).toMatchObject({ masters: [{ channels: 1 }] });
    });
    sshd.dropSessions();
    await readAll(silent).catch(() => undefined);
    expect(await harm()).toBeNull();
  });

  it("takes no packet that would come to a million times its size", async () => {
    const bomb = Buffer.concat([Buffer.from([2]), sshString(Buffer.alloc(8 * 1024 * 1024))]);
    const server = await rawServer({
      onConnection: (client) => client.on("ready", () => say(client, bomb)),
    });
    await server.addHost("bomb", compressed);
    const { tund, harm } = await startBeside(server.sshConfig);
    await tund.tunctl(["connect", "bomb"]);
    await eventually(() => expect(tund.log()).toMatch(/Output length exceeded|Bad packet length/));
    expect(await harm()).toBeNull();
  });
});
