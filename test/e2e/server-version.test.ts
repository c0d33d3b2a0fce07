// What a server says before its version, and how: beside the real ssh.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { programsOf } from "../support/process-tree.ts";
import { run } from "../support/run.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

let sshd: Sshd;
let tund: Tund;

beforeAll(async () => {
  sshd = await startSshd();
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
});
afterAll(async () => {
  await tund?.stop();
  await sshd?.stop();
});

/** Has ssh and tunctl log in to whatever `serve` makes of each connection. Gives what came of it, and who is connected still. */
async function both(name: string, serve: (socket: Socket) => void, isForSsh = true) {
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => open.delete(socket));
    serve(socket);
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await sshd.addHost(name, { Port: port, HostKeyAlias: `[127.0.0.1]:${sshd.port}`, ConnectTimeout: 600 });
  const theirs = isForSsh
    ? await run("ssh", ["-F", sshd.sshConfig, "-o", "BatchMode=yes", name, "true"])
    : undefined;
  const ours = await tund.tunctl(["connect", name]);
  onTestFinished(async () => void (await tund.tunctl(["exit", name])));
  return { ours, theirs, open };
}

/** Passes a connection on to the real server, and what that says first through `said`. */
function through(socket: Socket, said: (first: Buffer) => Buffer[], slowMs = 0): void {
  const upstream = connect(sshd.port, "127.0.0.1");
  upstream.on("error", () => undefined);
  socket.pipe(upstream);
  upstream.once("data", (first) => {
    upstream.pause();
    const parts = said(first);
    const next = (): void => {
      const part = parts.shift();
      if (part === undefined) return void upstream.pipe(socket);
      socket.write(part, () => setTimeout(next, slowMs));
    };
    next();
  });
  socket.once("close", () => upstream.destroy());
}

describe("a server's version", () => {
  it("may come behind a thousand lines of something else", async () => {
    const { ours, theirs } = await both("greeting", (socket) =>
      through(socket, (first) => [Buffer.from("SSH?\r\n".repeat(1000)), first]),
    );
    expect({ ours: ours.code, theirs: theirs?.code }).toEqual({ ours: 0, theirs: 0 });
  });

  it("may come byte by byte, as may what is said before it", async () => {
    const { ours, theirs } = await both("dripping", (socket) =>
      through(
        socket,
        (first) =>
          Array.from(Buffer.concat([Buffer.from("hello\r\n"), first]), (byte) => Buffer.from([byte])),
        5,
      ),
    );
    expect({ ours: ours.code, theirs: theirs?.code, said: ours.stderr }).toEqual({
      ours: 0,
      theirs: 0,
      said: "",
    });
  });

  it.each([
    ["lines", "a line\r\n", /no SSH version in the first 1024 lines/],
    ["bytes in long lines", `${"x".repeat(8000)}\r\n`, /no SSH version in the first 256 KiB/],
    ["a line without an end", "x".repeat(8000), /a line of more than 8192 bytes/],
    ["a version of another protocol", "SSH-what\r\nx", /Invalid identification string/],
  ])("is not waited for behind %s without end: tund hangs up, as ssh does", async (what, text, why) => {
    const { ours, theirs, open } = await both(
      `no-${what.replaceAll(" ", "-")}`,
      (socket) => {
        const talk = () => {
          while (!socket.destroyed && socket.write(text));
        };
        socket.on("drain", talk);
        talk();
      },
      what !== "bytes in long lines",
    ); // ssh reads 8 MB of them, byte by byte
    expect({ ours: ours.code, theirs: theirs?.code ?? 255 }).toEqual({ ours: 1, theirs: 255 });
    expect(ours.stderr).toMatch(why);
    await eventually(() => expect(open.size).toBe(0));
  });

  it("is not waited for from a ProxyCommand that never stops talking, which is ended", async () => {
    await sshd.addHost("talking", { ProxyCommand: "yes", ConnectTimeout: 600 });
    expect(await tund.tunctl(["connect", "talking"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/: no SSH version in the first 1024 lines\n$/) as string,
    });
    await eventually(() => expect(programsOf(tund.pid)).toEqual([]));
  });

  it("is not waited for by scan and doctor either", async () => {
    await sshd.addHost("chatty", { ProxyCommand: "yes", ConnectTimeout: 600 });
    expect((await tund.tunctl(["trust", "chatty"])).stderr).toContain(
      "no SSH version in the first 1024 lines",
    );
    await eventually(() => expect(programsOf(tund.pid)).toEqual([]));
  });
});
