import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Forward, Master } from "../../shared/contract.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import {
  deafServer,
  echoServer,
  type LoopbackServer,
  pseudoRandom,
  resettingServer,
  sinkServer,
  sourceServer,
} from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/freePort.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed, endOf, readAll, refuses } from "../support/tcp.ts";

let sshd: Sshd;
let tund: Tund;
let echo: LoopbackServer;

beforeAll(async () => {
  sshd = await startSshd();
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  echo = await echoServer();
});
afterAll(async () => {
  await tund?.stop();
  await echo?.close();
  await sshd?.stop();
});

const MB = 1_000_000;
const sha256 = (data: Iterable<Buffer>) => {
  const hash = createHash("sha256");
  for (const chunk of data) hash.update(chunk);
  return hash.digest("hex");
};

/** Runs tunctl and expects it to succeed. */
async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tund.tunctl(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}
const forwards = async (): Promise<Forward[]> =>
  (JSON.parse(await ok("list", "--json")) as { forwards: Forward[] }).forwards;
const forwardOn = async (port: number): Promise<Forward | undefined> =>
  (await forwards()).find(({ bind }) => "port" in bind && bind.port === port);
const master = async (): Promise<Master | undefined> =>
  (JSON.parse(await ok("status", "--json")) as { masters: Master[] }).masters[0];

/** Sets up a forward for this test alone and gives its port. */
async function forwardTo(destination: string): Promise<number> {
  const port = await freePort();
  await ok("forward", "-L", `${port}:${destination}`, "testhost");
  onTestFinished(async () => void (await tund.tunctl(["cancel", "-L", String(port), "testhost"])));
  return port;
}
const toServer = ({ port }: LoopbackServer) => forwardTo(`127.0.0.1:${port}`);
const closing = <T extends LoopbackServer>(server: T): T => {
  onTestFinished(() => server.close());
  return server;
};

async function upload(port: number, bytes: number): Promise<void> {
  const socket = await dialLoopback(port);
  await pipeline(Readable.from(pseudoRandom(bytes)), socket);
  await readAll(socket);
}

async function download(port: number): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of await dialLoopback(port)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

describe("a local forward", () => {
  it("carries bytes both ways, and is listed with what it did", async () => {
    const port = await toServer(echo);
    const socket = await dialLoopback(port);
    expect(await echoed(socket, "hello")).toBe("hello");
    expect(await forwardOn(port)).toMatchObject({
      host: "testhost",
      kind: "local",
      spec: `${port}:127.0.0.1:${echo.port}`,
      state: "active",
      boundTo: [`127.0.0.1:${port}`, `[::1]:${port}`],
      channels: { open: 1, total: 1, failed: 0 },
      bytes: { in: 5, out: 5 },
      failure: null,
    });
    socket.end();
    expect((await readAll(socket)).toString()).toBe("");
    await eventually(async () =>
      expect(await forwardOn(port)).toMatchObject({ channels: { open: 0, total: 1 } }),
    );
  });

  it("is cancelled while transfers run on two others, which lose no byte, on the same connection", async () => {
    const size = 60 * MB;
    const source = closing(await sourceServer(size));
    const sink = closing(await sinkServer());
    const [down, up, cancelled] = [await toServer(source), await toServer(sink), await toServer(echo)];
    const established = await dialLoopback(cancelled);
    await echoed(established, "established");
    const before = await master();

    const transfers = [download(down), upload(up, size)] as const;
    await eventually(async () => expect((await forwardOn(down))?.bytes.in).toBeGreaterThan(MB));
    await ok("cancel", "-L", `${cancelled}:127.0.0.1:${echo.port}`, "testhost");
    expect(await refuses(cancelled)).toBe(true);
    expect(await refuses(cancelled, "::1")).toBe(true);
    expect(await forwardOn(cancelled)).toBeUndefined();
    // What was established lives on.
    expect(await echoed(established, "lives on")).toBe("lives on");
    established.destroy();

    const [downloaded] = await Promise.all(transfers);
    expect(downloaded).toBe(source.sha256);
    expect(sink.received()).toEqual([{ bytes: size, sha256: sha256(pseudoRandom(size)) }]);
    expect(await master()).toMatchObject({ state: "ready", since: before?.since, reconnects: 0 });
  });

  it("carries 200 MB each way at once through one connection", async () => {
    const size = 200 * MB;
    const port = await toServer(echo);
    const socket = await dialLoopback(port);
    const back = createHash("sha256");
    const received = (async () => {
      for await (const chunk of socket) back.update(chunk as Buffer);
      return back.digest("hex");
    })();
    await pipeline(Readable.from(pseudoRandom(size)), socket);
    expect(await received).toBe(sha256(pseudoRandom(size)));
    expect(await forwardOn(port)).toMatchObject({ bytes: { in: size, out: size } });
  });

  it("passes on an end in either direction while the other goes on", async () => {
    // Answers only after the client's end, and goes on after its own request was ended.
    const late = createServer({ allowHalfOpen: true }, (socket) => {
      socket.resume().once("end", () => socket.end("said after your end"));
    }).listen(0, "127.0.0.1");
    // Ends first, and listens on.
    const heard: Buffer[] = [];
    const early = createServer({ allowHalfOpen: true }, (socket) => {
      socket.end("said at once");
      socket.on("data", (chunk) => heard.push(chunk));
    }).listen(0, "127.0.0.1");
    onTestFinished(() => void [late.close(), early.close()]);
    await Promise.all([late, early].map((server) => once(server, "listening")));
    const portOf = (server: typeof late) => (server.address() as { port: number }).port;

    const first = await dialLoopback(await forwardTo(`127.0.0.1:${portOf(late)}`));
    first.end("question");
    expect((await readAll(first)).toString()).toBe("said after your end");

    const second = await dialLoopback(await forwardTo(`127.0.0.1:${portOf(early)}`));
    expect((await readAll(second)).toString()).toBe("said at once");
    second.end("said after your end");
    await eventually(() => expect(Buffer.concat(heard).toString()).toBe("said after your end"));
  });

  it("does not cut off an upload whose client is done before the server has read it", async () => {
    const size = 6 * MB;
    const got: Socket[] = [];
    const slow = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      socket.end(); // its own direction is over at once: only the upload is left
      got.push(socket);
    }).listen(0, "127.0.0.1");
    onTestFinished(() => void slow.close());
    await once(slow, "listening");
    const socket = await dialLoopback(
      await forwardTo(`127.0.0.1:${(slow.address() as { port: number }).port}`),
    );
    socket.resume();
    const sent = pipeline(Readable.from(pseudoRandom(size)), socket, { end: true });
    await eventually(() => expect(got).toHaveLength(1));
    const hash = createHash("sha256");
    for await (const chunk of got[0] as Socket) hash.update(chunk as Buffer);
    await sent;
    expect(hash.digest("hex")).toBe(sha256(pseudoRandom(size)));
  });

  it("survives a client that resets in the middle, and one that leaves at once", async () => {
    const source = closing(await sourceServer(50 * MB));
    const port = await toServer(source);
    for (let i = 0; i < 5; i++) {
      const socket = await dialLoopback(port);
      await once(socket, "data");
      socket.resetAndDestroy();
      (await dialLoopback(port)).resetAndDestroy();
    }
    await eventually(async () =>
      expect(await forwardOn(port)).toMatchObject({ state: "active", channels: { open: 0 } }),
    );
    await eventually(() => expect(source.connections().open).toBe(0));
    expect(await download(port)).toBe(source.sha256);
  });

  it("survives a destination that resets in the middle", async () => {
    const port = await toServer(closing(await resettingServer(10_000)));
    const socket = await dialLoopback(port);
    socket.write(Buffer.alloc(20_000));
    await endOf(socket);
    socket.destroy();
    await eventually(async () =>
      expect(await forwardOn(port)).toMatchObject({ state: "active", channels: { open: 0, total: 1 } }),
    );
  });

  it("holds bounded memory for a destination that never reads, and stalls nobody else", async () => {
    const deaf = closing(await deafServer());
    const port = await toServer(deaf);
    const other = await toServer(echo);
    const flood = await dialLoopback(port);
    let accepted = 0;
    const chunk = Buffer.alloc(MB);
    while (accepted < 100) {
      accepted++;
      if (!flood.write(chunk) && flood.writableLength > 16 * MB) break;
    }
    const stuck = await eventually(async () => {
      const before = (await forwardOn(port))?.bytes.out ?? 0;
      const after = (await forwardOn(port))?.bytes.out ?? 0;
      return before > 0 && before === after ? before : false;
    });
    // A window of 2 MiB, as much again in the channel's own queue, and what the kernel's buffers on the way took.
    expect(stuck).toBeLessThan(16 * MB);
    const socket = await dialLoopback(other);
    expect(await echoed(socket, "not stalled")).toBe("not stalled");
    socket.destroy();
    flood.destroy();
    // What was sent before the client left is still owed to the destination, until that gives up.
    await deaf.close();
    await eventually(async () => expect(await forwardOn(port)).toMatchObject({ channels: { open: 0 } }));
  });

  it("holds bounded memory for a client that never reads, and stalls nobody else", async () => {
    const port = await toServer(closing(await sourceServer(100 * MB)));
    const other = await toServer(echo);
    const lazy = await dialLoopback(port);
    const stuck = await eventually(async () => {
      const before = (await forwardOn(port))?.bytes.in ?? 0;
      const after = (await forwardOn(port))?.bytes.in ?? 0;
      return before > 0 && before === after ? before : false;
    });
    // What the kernel's own buffers took, and half a megabyte here.
    expect(stuck).toBeLessThan(20 * MB);
    const socket = await dialLoopback(other);
    expect(await echoed(socket, "not stalled")).toBe("not stalled");
    socket.destroy();
    lazy.destroy();
  });

  it("opens and closes 500 connections without leaking a descriptor or a channel", async () => {
    const port = await toServer(echo);
    const round = async (count: number) => {
      const sockets = await Promise.all(Array.from({ length: count }, () => dialLoopback(port)));
      await Promise.all(sockets.map((socket, index) => echoed(socket, `number ${index}`)));
      for (const socket of sockets) socket.end();
      await Promise.all(sockets.map(readAll));
      await eventually(async () => expect((await forwardOn(port))?.channels.open).toBe(0));
    };
    await round(50);
    const settled = await eventually(() => tund.fds());
    await round(250);
    await round(250);
    await eventually(() => expect(tund.fds()).toBeLessThanOrEqual(settled));
    expect(await forwardOn(port)).toMatchObject({ channels: { open: 0, total: 550, failed: 0 } });
    await eventually(() => expect(echo.connections().open).toBe(0));
    expect((await master())?.channels).toBe(0);
  });

  it("reaches a Unix socket at the far end", async () => {
    const path = join(sshd.directory, "far.sock");
    const far = closing(await echoServer({ path }));
    expect(far.port).toBe(0);
    const socket = await dialLoopback(await forwardTo(path));
    expect(await echoed(socket, "over a path")).toBe("over a path");
    socket.destroy();
  });

  it("closes a connection cleanly when its channel is refused, counts it, and says why", async () => {
    const nobody = await freePort();
    const refused = await forwardTo(`127.0.0.1:${nobody}`);
    const missing = await forwardTo("/no/such/socket");
    const unresolvable = await forwardTo("no-such-host.invalid:80");
    for (const port of [refused, missing, unresolvable])
      expect(await endOf(await dialLoopback(port))).toBe("end");
    const failure = async (port: number) => (await forwardOn(port))?.failure?.message;
    await eventually(async () => expect(await failure(refused)).toBe("connect failed: Connection refused"));
    await eventually(async () => expect(await failure(missing)).toBe("connect failed: open failed"));
    await eventually(async () => expect(await failure(unresolvable)).toMatch(/^connect failed: /));
    expect(await forwardOn(refused)).toMatchObject({
      state: "active",
      channels: { open: 0, total: 0, failed: 1 },
    });
    expect(await ok("list")).toContain("connect failed: Connection refused");
  });
});

describe("where a local forward listens", () => {
  it("is loopback of both families unless it is told otherwise", async () => {
    const [star, v4, v6, wide] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const to = `127.0.0.1:${echo.port}`;
    await ok(
      "forward",
      "-L",
      `*:${star}:${to}`,
      "-L",
      `127.0.0.1:${v4}:${to}`,
      "-L",
      `[::1]:${v6}:${to}`,
      "testhost",
    );
    await ok("forward", "-g", "-L", `${wide}:${to}`, "testhost");
    expect((await forwardOn(star))?.boundTo).toEqual([`0.0.0.0:${star}`, `[::]:${star}`]);
    expect((await forwardOn(v4))?.boundTo).toEqual([`127.0.0.1:${v4}`]);
    expect((await forwardOn(v6))?.boundTo).toEqual([`[::1]:${v6}`]);
    expect((await forwardOn(wide))?.boundTo).toEqual([`0.0.0.0:${wide}`, `[::]:${wide}`]);
    expect([await refuses(v4, "::1"), await refuses(v6, "127.0.0.1"), await refuses(v6, "::1")]).toEqual([
      true,
      true,
      false,
    ]);
    await ok("cancel", "--all", "testhost");
    expect(await forwards()).toEqual([]);
  });

  it("is told when somebody has the port, with the holder's name, and nothing of the command is left", async () => {
    const free = await freePort();
    const { code, stdout, stderr } = await tund.tunctl([
      "forward",
      "-L",
      `${free}:a:1`,
      "-L",
      `${echo.port}:a:1`,
      "testhost",
    ]);
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
    expect(stderr).toMatch(
      new RegExp(
        `^tunctl: cannot listen on 127\\.0\\.0\\.1:${echo.port}: address already in use by .* \\(pid ${process.pid}\\)\\n$`,
      ),
    );
    expect(await refuses(free)).toBe(true);
  });

  it("is refused when one loopback of two is taken, for localhost would lead to either", async () => {
    const six = closing(await echoServer({ host: "::1" }));
    const { code, stderr } = await tund.tunctl(["forward", "-L", `${six.port}:a:1`, "testhost"]);
    expect(code).toBe(5);
    expect(stderr).toContain(`cannot listen on [::1]:${six.port}: address already in use by`);
    expect(await refuses(six.port)).toBe(true);
  });

  it("is refused on an address that the machine does not have", async () => {
    const { code, stderr } = await tund.tunctl([
      "forward",
      "-L",
      `192.0.2.1:${await freePort()}:a:1`,
      "testhost",
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain("the machine does not have this address");
  });
});

describe("cancel", () => {
  it("takes a whole spec, a bind part, or an id, and says what there is not", async () => {
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    const specs = ports.map((port) => `${port}:127.0.0.1:${echo.port}`);
    await ok("forward", ...specs.flatMap((spec) => ["-L", spec]), "testhost");
    await ok("cancel", "-L", specs[0] ?? "", "testhost");
    await ok("cancel", "-L", String(ports[1]), "testhost");
    const { id } = (await forwardOn(ports[2])) as Forward;
    await ok("cancel", id);
    expect(await Promise.all(ports.map((port) => refuses(port)))).toEqual([true, true, true]);
    expect(await tund.tunctl(["cancel", id])).toMatchObject({
      code: 4,
      stderr: `tunctl: no forward ${id}\n`,
    });
    expect(await tund.tunctl(["cancel", "-L", "1", "testhost"])).toMatchObject({
      code: 4,
      stderr: "tunctl: no local forward 1 on testhost\n",
    });
    expect(await tund.tunctl(["cancel", "-L", "1", "elsewhere"])).toMatchObject({ code: 4 });
  });

  it("of one that is there and one that is not cancels neither", async () => {
    const port = await toServer(echo);
    const { code } = await tund.tunctl(["cancel", "-L", String(port), "-L", "1", "testhost"]);
    expect(code).toBe(4);
    expect(await refuses(port)).toBe(false);
  });
});

describe("many", () => {
  it("masters carry many forwards with many connections each, and do not mix them up", async () => {
    for (const name of ["m1", "m2", "m3"])
      await sshd.addHost(name, {
        HostKeyAlias: "shared",
        StrictHostKeyChecking: "accept-new",
        ServerAliveInterval: 20 + Number(name[1]),
      });
    const far = await Promise.all(Array.from({ length: 6 }, () => echoServer()));
    far.forEach(closing);
    const ports: number[] = [];
    for (const name of ["m1", "m2", "m3"]) {
      const specs = [];
      for (const server of far) {
        const port = await freePort();
        ports.push(port);
        specs.push("-L", `${port}:127.0.0.1:${server.port}`);
      }
      await ok("forward", ...specs, name);
    }
    const rounds = ports.flatMap((port, index) =>
      Array.from({ length: 20 }, (_, round) => ({ port, say: `${index}-${round}` })),
    );
    await Promise.all(
      rounds.map(async ({ port, say }) => {
        const socket = await dialLoopback(port);
        expect(await echoed(socket, say)).toBe(say);
        socket.destroy();
      }),
    );
    expect(far.map((server) => server.connections().total)).toEqual(Array.from({ length: 6 }, () => 60));
    const { masters } = JSON.parse(await ok("status", "--json")) as { masters: Master[] };
    expect(masters.filter(({ host }) => host.startsWith("m")).map(({ forwards: count }) => count)).toEqual([
      6, 6, 6,
    ]);
    for (const name of ["m1", "m2", "m3"]) await ok("exit", name);
    expect(await Promise.all(ports.map((port) => refuses(port)))).not.toContain(false);
  });
});

describe("a server that restricts forwarding", () => {
  it("is quoted, and the master lives on", async () => {
    const strict = await startSshd({ config: ["AllowTcpForwarding no"] });
    const other = await startTund({ env: { TUND_SSH_CONFIG: strict.sshConfig } });
    onTestFinished(async () => {
      await other.stop();
      await strict.stop();
    });
    const port = await freePort();
    expect(await other.tunctl(["forward", "-L", `${port}:127.0.0.1:${echo.port}`, "testhost"])).toMatchObject(
      { code: 0 },
    );
    expect(await endOf(await dialLoopback(port))).toBe("end");
    await eventually(async () =>
      expect((await other.tunctl(["list"])).stdout).toContain("administratively prohibited: open failed"),
    );
    expect(await other.tunctl(["check", "testhost"])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Master running \(pid=\d+\)/) as string,
    });
  });
});
