// The load generators, each a process of its own (see generators.ts): `load.ts far` is what the forwards lead to, `load.ts near`
// is who connects to them. They must never be the bottleneck: the same loads over bare loopback say whether they are.
import { connect, createServer, type Server, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { FarPorts, Figures, Load } from "./generators.ts";

const CHUNK = Buffer.alloc(256 * 1024, "tund");
const HEADER = 8;
const PING = Buffer.alloc(64, 1);

/** Writes `bytes` bytes as fast as they are taken. */
async function pour(socket: Socket, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= CHUNK.length) {
    const chunk = left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK;
    if (!socket.write(chunk)) await new Promise((resolve) => void socket.once("drain", resolve));
  }
}

/** Reads the header by which a client says how many bytes are to flow, then hands over. */
function withHeader(socket: Socket, then: (bytes: number, firstPayload: number) => void): void {
  let header = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    header = Buffer.concat([header, chunk]);
    if (header.length < HEADER) return;
    socket.off("data", onData);
    then(Number(header.readBigUInt64BE()), header.length - HEADER);
  };
  socket.on("data", onData);
}

const source = (socket: Socket): void =>
  withHeader(socket, (bytes) => {
    void pour(socket, bytes).then(() => socket.end());
  });

const sink = (socket: Socket): void =>
  withHeader(socket, (bytes, firstPayload) => {
    let left = bytes - firstPayload;
    // One byte back says that all of it is here, not only sent.
    const arrived = (): void => {
      if (left <= 0) socket.end("k");
    };
    socket.on("data", (chunk) => {
      left -= chunk.length;
      arrived();
    });
    arrived();
  });

const echo = (socket: Socket): void => void socket.pipe(socket);

const listen = (serve: (socket: Socket) => void): Promise<number> =>
  new Promise((resolve) => {
    const server: Server = createServer({ noDelay: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      serve(socket);
    });
    // Connections are asked for in bursts; the system's own backlog should not count.
    server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
      resolve((server.address() as { port: number }).port);
    });
  });

async function far(): Promise<void> {
  const ports: FarPorts = {
    source: await listen(source),
    sink: await listen(sink),
    echo: await listen(echo),
  };
  process.send?.(ports);
}

const dial = (
  port: number,
  onread?: { buffer: Buffer; callback: (bytes: number) => boolean },
): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, ...(onread && { onread }) });
    socket.once("error", reject);
    socket.once("connect", () => resolve(socket));
  });

const header = (bytes: number): Buffer => {
  const buffer = Buffer.alloc(HEADER);
  buffer.writeBigUInt64BE(BigInt(bytes));
  return buffer;
};

const ended = (socket: Socket): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("close", () => resolve());
  });

/** MiB/s of `mib` MiB, from asking for them to having the last one. */
async function throughput(kind: "down" | "up", port: number, mib: number): Promise<Figures> {
  const bytes = mib * 1024 * 1024;
  let received = 0;
  // A buffer of our own: one read of up to 512 KiB in place of eight that allocate.
  const buffer = Buffer.alloc(512 * 1024);
  const socket = await dial(port, { buffer, callback: (count) => Boolean((received += count)) });
  const over = ended(socket);
  const started = performance.now();
  socket.write(header(bytes));
  if (kind === "up") await pour(socket, bytes);
  await over;
  const seconds = (performance.now() - started) / 1000;
  const expected = kind === "down" ? bytes : 1;
  if (received !== expected) throw new Error(`${kind}: ${received} of ${expected} bytes came`);
  return { mibPerSecond: mib / seconds };
}

/** Round trips of 64 bytes, one after the other, in microseconds. */
async function roundTrips(port: number, count: number): Promise<Figures> {
  const times = new Float64Array(count);
  let back = 0;
  let wake = (): void => {};
  const buffer = Buffer.alloc(1024);
  const socket = await dial(port, {
    buffer,
    callback: (bytes) => {
      back += bytes;
      if (back >= PING.length) wake();
      return true;
    },
  });
  // The first ones pay for warming up.
  for (let i = -Math.ceil(count / 10); i < count; i++) {
    const started = performance.now();
    back = 0;
    const pong = new Promise<void>((resolve) => (wake = resolve));
    socket.write(PING);
    await pong;
    if (i >= 0) times[i] = (performance.now() - started) * 1000;
  }
  socket.destroy();
  times.sort();
  const at = (share: number): number => times[Math.floor(count * share)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

/** Connections per second: each is opened, carries a byte there and back, and is closed; `width` at a time. */
async function connections(port: number, count: number, width: number): Promise<Figures> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next++ < count) {
      const socket = await dial(port);
      const answered = new Promise((resolve, reject) => {
        socket.once("data", resolve);
        socket.once("close", () => reject(new Error("closed without an answer")));
      });
      socket.write("x");
      await answered;
      socket.destroy();
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: width }, worker));
  return { perSecond: count / ((performance.now() - started) / 1000) };
}

function run(load: Load): Promise<Figures> {
  if (load.kind === "latency") return roundTrips(load.port, load.count);
  if (load.kind === "connections") return connections(load.port, load.count, load.width);
  return throughput(load.kind, load.port, load.mib);
}

const near = (): void =>
  void process.on("message", (load: Load) => {
    run(load).then(
      (figures) => process.send?.({ figures }),
      (error: Error) => process.send?.({ error: `${load.kind}: ${error.message}` }),
    );
  });

// Whoever started us is gone, however it went: so are we.
process.on("disconnect", () => process.exit());
if (process.argv[2] === "far") await far();
else near();
