import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
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
import { freePort } from "../support/free-port.ts";
import { dialLoopback, echoed, endOf, readAll, refuses } from "../support/tcp.ts";
import { closing, startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;

beforeAll(async () => {
  tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

const MB = 1_000_000;
const sha256 = (data: Iterable<Buffer>) => {
  const hash = createHash("sha256");
  for (const chunk of data) hash.update(chunk);
  return hash.digest("hex");
};

const toServer = ({ port }: LoopbackServer) => tunnel.forwardTo(`127.0.0.1:${port}`);

async function upload(port: number, bytes: number): Promise<void> {
  const socket = await dialLoopback(port);
  await pipeline(Readable.from(pseudoRandom(bytes)), socket);
  await readAll(socket);
}

async function download(port: number): Promise<string> {
  const hash = createHash("sha256");
  const socket = await dialLoopback(port);
  for await (const chunk of socket) hash.update(chunk as Buffer);
  socket.destroy(); // since Node 24 nobody else ends its own direction
  return hash.digest("hex");
}

describe("a local forward", () => {
  it("carries bytes both ways, and is listed with what it did", async () => {
    const port = await toServer(tunnel.echo);
    const socket = await dialLoopback(port);
    expect(await echoed(socket, "hello")).toBe("hello");
    expect(await tunnel.forwardOn(port)).toMatchObject({
      host: "testhost",
      kind: "local",
      spec: `${port}:127.0.0.1:${tunnel.echo.port}`,
      state: "active",
      boundTo: [`127.0.0.1:${port}`, `[::1]:${port}`],
      channels: { open: 1, total: 1, failed: 0 },
      bytes: { in: 5, out: 5 },
      failure: null,
    });
    socket.end();
    expect((await readAll(socket)).toString()).toBe("");
    await eventually(async () =>
      expect(await tunnel.forwardOn(port)).toMatchObject({ channels: { open: 0, total: 1 } }),
    );
  });

  it("is cancelled while transfers run on two others, which lose no byte, on the same connection", async () => {
    const size = 60 * MB;
    const source = closing(await sourceServer(size));
    const sink = closing(await sinkServer());
    const [down, up, cancelled] = [await toServer(source), await toServer(sink), await toServer(tunnel.echo)];
    const established = await dialLoopback(cancelled);
    await echoed(established, "established");
    const before = await tunnel.master();

    const transfers = [download(down), upload(up, size)] as const;
    await eventually(async () => expect((await tunnel.forwardOn(down))?.bytes.in).toBeGreaterThan(MB));
    await tunnel.ok("cancel", "-L", `${cancelled}:127.0.0.1:${tunnel.echo.port}`, "testhost");
    expect(await refuses(cancelled)).toBe(true);
    expect(await refuses(cancelled, "::1")).toBe(true);
    expect(await tunnel.forwardOn(cancelled)).toBeUndefined();
    // What was established lives on.
    expect(await echoed(established, "lives on")).toBe("lives on");
    established.destroy();

    const [downloaded] = await Promise.all(transfers);
    expect(downloaded).toBe(source.sha256);
    expect(sink.received()).toEqual([{ bytes: size, sha256: sha256(pseudoRandom(size)) }]);
    expect(await tunnel.master()).toMatchObject({ state: "ready", since: before?.since, reconnects: 0 });
  });

  it("carries 200 MB each way at once through one connection", async () => {
    const size = 200 * MB;
    const port = await toServer(tunnel.echo);
    const socket = await dialLoopback(port);
    const back = createHash("sha256");
    const received = (async () => {
      for await (const chunk of socket) back.update(chunk as Buffer);
      return back.digest("hex");
    })();
    await pipeline(Readable.from(pseudoRandom(size)), socket);
    expect(await received).toBe(sha256(pseudoRandom(size)));
    expect(await tunnel.forwardOn(port)).toMatchObject({ bytes: { in: size, out: size } });
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

    const first = await dialLoopback(await tunnel.forwardTo(`127.0.0.1:${portOf(late)}`));
    first.end("question");
    expect((await readAll(first)).toString()).toBe("said after your end");

    const second = await dialLoopback(await tunnel.forwardTo(`127.0.0.1:${portOf(early)}`));
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
      await tunnel.forwardTo(`127.0.0.1:${(slow.address() as { port: number }).port}`),
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
      expect(await tunnel.forwardOn(port)).toMatchObject({ state: "active", channels: { open: 0 } }),
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
      expect(await tunnel.forwardOn(port)).toMatchObject({
        state: "active",
        channels: { open: 0, total: 1 },
      }),
    );
  });

  it("holds bounded memory for a destination that never reads, and stalls nobody else", async () => {
    const deaf = closing(await deafServer());
    const port = await toServer(deaf);
    const other = await toServer(tunnel.echo);
    const flood = await dialLoopback(port);
    let accepted = 0;
    const chunk = Buffer.alloc(MB);
    while (accepted < 100) {
      accepted++;
      if (!flood.write(chunk) && flood.writableLength > 16 * MB) break;
    }
    const stuck = await eventually(async () => {
      const before = (await tunnel.forwardOn(port))?.bytes.out ?? 0;
      const after = (await tunnel.forwardOn(port))?.bytes.out ?? 0;
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
    await eventually(async () =>
      expect(await tunnel.forwardOn(port)).toMatchObject({ channels: { open: 0 } }),
    );
  });

  it("holds bounded memory for a client that never reads, and stalls nobody else", async () => {
    const port = await toServer(closing(await sourceServer(100 * MB)));
    const other = await toServer(tunnel.echo);
    const lazy = await dialLoopback(port);
    const stuck = await eventually(async () => {
      const before = (await tunnel.forwardOn(port))?.bytes.in ?? 0;
      const after = (await tunnel.forwardOn(port))?.bytes.in ?? 0;
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
    const port = await toServer(tunnel.echo);
    const round = async (count: number) => {
      const sockets = await Promise.all(Array.from({ length: count }, () => dialLoopback(port)));
      await Promise.all(sockets.map((socket, index) => echoed(socket, `number ${index}`)));
      for (const socket of sockets) socket.end();
      await Promise.all(sockets.map(readAll));
      await eventually(async () => expect((await tunnel.forwardOn(port))?.channels.open).toBe(0));
    };
    await round(50);
    const settled = await eventually(() => tunnel.tund.fds());
    await round(250);
    await round(250);
    await eventually(() => expect(tunnel.tund.fds()).toBeLessThanOrEqual(settled));
    expect(await tunnel.forwardOn(port)).toMatchObject({ channels: { open: 0, total: 550, failed: 0 } });
    await eventually(() => expect(tunnel.echo.connections().open).toBe(0));
    await eventually(async () => expect((await tunnel.master())?.channels).toBe(0));
  });

  it("reaches a Unix socket at the far end", async () => {
    const path = join(tunnel.sshd.directory, "far.sock");
    const far = closing(await echoServer({ path }));
    expect(far.port).toBe(0);
    const socket = await dialLoopback(await tunnel.forwardTo(path));
    expect(await echoed(socket, "over a path")).toBe("over a path");
    socket.destroy();
  });

  it("closes a connection cleanly when its channel is refused, counts it, and says why", async () => {
    const nobody = await freePort();
    const refused = await tunnel.forwardTo(`127.0.0.1:${nobody}`);
    const missing = await tunnel.forwardTo("/no/such/socket");
    const unresolvable = await tunnel.forwardTo("no-such-host.invalid:80");
    for (const port of [refused, missing, unresolvable])
      expect(await endOf(await dialLoopback(port))).toBe("end");
    const failure = async (port: number) => (await tunnel.forwardOn(port))?.failure?.message;
    await eventually(async () => expect(await failure(refused)).toBe("connect failed: Connection refused"));
    await eventually(async () => expect(await failure(missing)).toBe("connect failed: open failed"));
    await eventually(async () => expect(await failure(unresolvable)).toMatch(/^connect failed: /));
    expect(await tunnel.forwardOn(refused)).toMatchObject({
      state: "active",
      channels: { open: 0, total: 0, failed: 1 },
    });
    expect(await tunnel.ok("list")).toContain("connect failed: Connection refused");
  });
});
