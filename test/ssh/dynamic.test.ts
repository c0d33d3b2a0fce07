import { once } from "node:events";
import { connect as connectTo, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { type ManualClock, manualClock } from "../support/clock.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startInProcess } from "../support/in-process.ts";
import { startSshServer } from "../support/ssh-server.ts";
import { dialLoopback, echoed, readAll } from "../support/tcp.ts";

async function world(clock?: ManualClock) {
  const server = await startSshServer();
  const echo = await echoServer();
  const tund = await startInProcess(server.sshConfig, clock);
  onTestFinished(async () => {
    const ticking = setInterval(() => clock?.advance(1000), 5);
    await tund.close();
    clearInterval(ticking);
    await echo.close();
    await server.close();
  });
  const port = await freePort();
  await tund.registry.openForwards({ host: "fake", forwards: [{ kind: "dynamic", spec: String(port) }] });
  const list = async () => (await tund.registry.forwards())[0];
  return { server, echo, registry: tund.registry, port, list };
}

const port16 = (port: number) => Buffer.from([port >> 8, port & 0xff]);
const socks5 = (port: number) => Buffer.concat([Buffer.from([5, 1, 0, 1, 127, 0, 0, 1]), port16(port)]);
const socks4 = (port: number) =>
  Buffer.concat([Buffer.from([4, 1]), port16(port), Buffer.from([127, 0, 0, 1, 0])]);

/** Reads exactly that many bytes. */
async function take(socket: Socket, length: number): Promise<Buffer> {
  let got = Buffer.alloc(0);
  socket.resume();
  while (got.length < length) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    got = Buffer.concat([got, chunk]);
  }
  socket.pause();
  if (got.length > length) socket.unshift(got.subarray(length));
  return got.subarray(0, length);
}

describe("a dynamic forward", () => {
  it("joins a SOCKS5 client that waits for each answer, and one that sends all at once", async () => {
    const { echo, port } = await world();
    const patient = await dialLoopback(port);
    patient.write(Buffer.from([5, 1, 0]));
    expect(await take(patient, 2)).toEqual(Buffer.from([5, 0]));
    patient.write(socks5(echo.port));
    expect(await take(patient, 10)).toEqual(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    expect(await echoed(patient.resume(), "in order")).toBe("in order");
    patient.destroy();

    const hasty = await dialLoopback(port);
    hasty.end(Buffer.concat([Buffer.from([5, 1, 0]), socks5(echo.port), Buffer.from("all at once")]));
    const reply = await readAll(hasty);
    expect(reply.subarray(0, 12).toString("hex")).toBe("050005000001000000000000");
    expect(reply.subarray(12).toString()).toBe("all at once");
  });

  it("joins a client whose request comes byte by byte", async () => {
    const { echo, port } = await world();
    const socket = await dialLoopback(port);
    for (const byte of Buffer.concat([socks4(echo.port), Buffer.from("slowly")])) {
      socket.write(Buffer.from([byte]));
      await turn();
    }
    socket.end();
    expect((await readAll(socket)).toString("latin1")).toBe("\0Z\0\0\0\0\0\0slowly");
  });

  it("says that a channel is open only when it is", async () => {
    const { server, echo, port, registry } = await world();
    server.switches.open = "never";
    const socket = await dialLoopback(port);
    socket.write(Buffer.concat([Buffer.from([5, 1, 0]), socks5(echo.port)]));
    expect(await take(socket, 2)).toEqual(Buffer.from([5, 0]));
    await eventually(async () => expect((await registry.master("fake")).channels).toBe(1));
    await registry.check("fake"); // whatever the server had to say has arrived
    expect(socket.bytesRead).toBe(2);
    socket.destroy();
  });

  it("tells why a destination is not reached, in the client's own protocol", async () => {
    const { port, list } = await world();
    const nobody = await freePort();
    const five = await dialLoopback(port);
    five.write(Buffer.concat([Buffer.from([5, 1, 0]), socks5(nobody)]));
    expect((await readAll(five)).subarray(0, 4)).toEqual(Buffer.from([5, 0, 5, 1]));
    const four = await dialLoopback(port);
    four.write(socks4(nobody));
    expect((await readAll(four)).toString("hex")).toBe("005b000000000000");
    const http = await dialLoopback(port);
    http.write(`CONNECT 127.0.0.1:${nobody} HTTP/1.1\r\n\r\n`);
    expect((await readAll(http)).toString()).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n[^]*connect failed/);
    await eventually(async () =>
      expect(await list()).toMatchObject({ state: "active", channels: { failed: 3, open: 0 } }),
    );
  });

  it("ends what is no request, or too long in coming, and keeps nothing of it", async () => {
    const clock = manualClock();
    const { port, list, registry } = await world(clock);
    const garbage = await dialLoopback(port);
    garbage.write(Buffer.from([0, 1, 2, 3]));
    expect((await readAll(garbage)).length).toBe(0);
    const slow = await dialLoopback(port);
    slow.write(Buffer.from([5]));
    await eventually(async () => expect((await registry.master("fake")).channels).toBe(1));
    clock.advance(30_000);
    expect((await readAll(slow)).length).toBe(0);
    const endless = connectTo(port, "127.0.0.1");
    endless.on("error", () => undefined);
    endless.write(`CONNECT a:1 HTTP/1.1\r\nX: ${"y".repeat(20_000)}`);
    expect((await readAll(endless)).toString()).toMatch(/^HTTP\/1\.1 400 /);
    const leaving = await dialLoopback(port);
    leaving.end(Buffer.from([5, 1]));
    await readAll(leaving);
    await eventually(async () => expect(await list()).toMatchObject({ channels: { failed: 4, total: 0 } }));
    await eventually(async () => expect((await registry.master("fake")).channels).toBe(0));
  });
});

describe("an open that is never answered", () => {
  it("ends by a deadline, and one that is answered later leaves nothing behind", async () => {
    const clock = manualClock();
    const { server, echo, registry } = await world(clock);
    server.switches.open = "never";
    const port = await freePort();
    await registry.openForwards({
      host: "fake",
      forwards: [{ kind: "local", spec: `${port}:127.0.0.1:${echo.port}` }],
    });
    const socket = await dialLoopback(port);
    await eventually(async () => expect((await registry.master("fake")).channels).toBe(1));
    clock.advance(60_000);
    await readAll(socket);
    const [, local] = await registry.forwards();
    expect(local).toMatchObject({
      state: "active",
      failure: { message: expect.stringContaining("did not answer within 60 s") as string },
    });
    expect((await registry.master("fake")).channels).toBe(0);
  });
});
