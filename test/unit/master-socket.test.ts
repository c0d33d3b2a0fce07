import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { Loans } from "../../daemon/ssh/loans.ts";
import { MasterSocket } from "../../daemon/ssh/master-socket.ts";

/** A master's socket, and the server's end of it. */
async function connected(): Promise<{ socket: MasterSocket; far: Socket }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const over = new AbortController();
  const socket = new MasterSocket({ noDelay: true, keepAlive: false, signal: over.signal });
  socket.on("error", () => undefined);
  socket.connect({ port: (server.address() as { port: number }).port, host: "127.0.0.1" });
  const [far] = await accepted;
  onTestFinished(() => {
    socket.destroy();
    far.destroy();
    server.close();
  });
  return { socket, far };
}

const messages = Array.from({ length: 200 }, (_, i) => Buffer.alloc(3000, i));

/** Sends them one at a time, each once the one before it was read. */
async function send(far: Socket, socket: MasterSocket): Promise<void> {
  let sent = 0;
  for (const message of messages) {
    far.write(message);
    sent += message.length;
    while (socket.bytesRead < sent) await once(socket, "data");
  }
}

it("gives away what it reads while nobody knows who keeps it", async () => {
  const { socket, far } = await connected();
  const kept: Buffer[] = [];
  socket.on("data", (data: Buffer) => kept.push(data)).resume();
  await send(far, socket);
  expect(Buffer.concat(kept)).toEqual(Buffer.concat(messages));
});

it("reads into the same memory again as long as everybody is done with it", async () => {
  const { socket, far } = await connected();
  const loans = new Loans(() => false);
  socket.lend(loans);
  const places = new Set<string>();
  const memories = new Set<unknown>();
  socket
    .on("data", (data: Buffer) => {
      places.add(`${data.byteOffset}`);
      memories.add(data.buffer);
      loans.packet();
      loans.accept(data, () => true);
    })
    .resume();
  await send(far, socket);
  expect(places.size).toBe(1);
  expect(memories.size).toBe(1);
});

it.each(["is passed on and not accepted", "its reader is not done with", "is the beginning of a packet"])(
  "gives away what %s, and nothing else",
  async (how) => {
    const { socket, far } = await connected();
    let isKept = false;
    const loans = new Loans(() => isKept && how === "is the beginning of a packet");
    socket.lend(loans);
    const kept: Buffer[] = [];
    let reads = 0;
    socket
      .on("data", (data: Buffer) => {
        isKept = reads++ % 3 === 0;
        if (isKept) kept.push(data);
        loans.packet();
        loans.passOn(data);
        if (!isKept || how !== "is passed on and not accepted")
          loans.accept(data, () => !isKept || how !== "its reader is not done with");
      })
      .resume();
    await send(far, socket);
    // One message is one read on loopback, or several: what was kept is what was sent, byte for byte.
    const sent = Buffer.concat(messages);
    expect(kept.length).toBeGreaterThan(60);
    for (const data of kept) expect(sent.indexOf(data)).not.toBe(-1);
    expect(new Set(kept.map((data) => `${data[0]}`)).size).toBeGreaterThan(60);
  },
);

it("takes data in memory of its own for nobody's loan, and asks each reader once a read", () => {
  const loans = new Loans(() => false);
  const memory = Buffer.alloc(100);
  let asked = 0;
  const settle = () => ++asked > 0;
  loans.begin(memory.buffer);
  for (const data of [memory.subarray(0, 10), Buffer.allocUnsafeSlow(10)]) {
    loans.packet();
    loans.passOn(data);
    expect(loans.accept(data, settle)).toBe(true);
  }
  expect(loans.end()).toBe(true);
  expect(asked).toBe(1);
  expect(loans.accept(memory, settle)).toBe(false);
});
