// Loopback servers for the far end of a forward, each with one habit.
import { createCipheriv, createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

export interface LoopbackServer {
  /** 127.0.0.1, unless it was given an address */
  host: string;
  /** the port that the system chose; 0 for a Unix socket */
  port: number;
  /** how many connections there were, and how many of them still are */
  connections(): { total: number; open: number };
  /** bytes over all connections, as this server saw them */
  bytes(): { received: number; sent: number };
  /** Ends all connections and stops listening. */
  close(): Promise<void>;
}

/** Where to listen: a port of the system's choice on 127.0.0.1, or what is given. */
export type Where = { host?: string; port?: number } | { path: string };

/** Sends back what it gets, and its end. */
export const echoServer = (where: Where = {}): Promise<LoopbackServer> =>
  serve(where, (socket) => void socket.pipe(socket));

/** Sends `length` pseudo-random bytes to everyone who connects, then ends. `sha256` is their digest, in hex. */
export async function sourceServer(
  length: number,
  where: Where = {},
): Promise<LoopbackServer & { sha256: string }> {
  const server = await serve(where, (socket) => {
    socket.resume();
    pipeline(Readable.from(pseudoRandom(length)), socket).catch(() => {}); // they may leave early
  });
  return Object.assign(server, { sha256: digest(length) });
}

/** Takes all it gets, and ends when they do. `received()` lists each connection that ended: its bytes and SHA-256 in hex. */
export async function sinkServer(
  where: Where = {},
): Promise<LoopbackServer & { received(): { bytes: number; sha256: string }[] }> {
  const done: { bytes: number; sha256: string }[] = [];
  const server = await serve(where, (socket) => {
    const hash = createHash("sha256");
    socket.on("data", (chunk: Buffer) => void hash.update(chunk));
    socket.once("end", () => {
      done.push({ bytes: socket.bytesRead, sha256: hash.digest("hex") });
      socket.end();
    });
  });
  return Object.assign(server, { received: () => done });
}

/** Accepts, and then never reads a byte: whoever sends to it is held up once the system's buffers are full. */
export const deafServer = (where: Where = {}): Promise<LoopbackServer> =>
  serve(where, () => {}, { pauseOnConnect: true });

/** Accepts, and resets the connection once it got `afterBytes` bytes; at once when that is 0. */
export const resettingServer = (afterBytes = 0, where: Where = {}): Promise<LoopbackServer> =>
  serve(where, (socket) => {
    const resetOnceDue = () => {
      if (socket.bytesRead >= afterBytes) socket.resetAndDestroy();
    };
    socket.on("data", resetOnceDue);
    resetOnceDue();
  });

const CHUNK = Buffer.alloc(64 * 1024);

/** `length` bytes that look random and are always the same, in pieces (AES in counter mode over zeros). */
export function* pseudoRandom(length: number): Generator<Buffer> {
  const stream = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16));
  for (let left = length; left > 0; left -= CHUNK.length) yield stream.update(CHUNK.subarray(0, left));
}

function digest(length: number): string {
  const hash = createHash("sha256");
  for (const chunk of pseudoRandom(length)) hash.update(chunk);
  return hash.digest("hex");
}

async function serve(
  where: Where,
  onConnection: (socket: Socket) => void,
  options: { pauseOnConnect?: boolean } = {},
): Promise<LoopbackServer> {
  const open = new Set<Socket>();
  const past = { connections: 0, received: 0, sent: 0 };
  // Half open, or an end would be answered before what is still to be said.
  const server = createServer({ allowHalfOpen: true, ...options }, (socket) => {
    open.add(socket);
    socket.on("error", () => {}); // resets are part of the game
    socket.once("close", () => {
      open.delete(socket);
      past.connections += 1;
      past.received += socket.bytesRead;
      past.sent += socket.bytesWritten;
    });
    onConnection(socket);
  });
  const { host, port } = await listen(server, where);
  const sum = (count: (socket: Socket) => number) =>
    [...open].reduce((total, socket) => total + count(socket), 0);
  return {
    host,
    port,
    connections: () => ({ total: past.connections + open.size, open: open.size }),
    bytes: () => ({
      received: past.received + sum((socket) => socket.bytesRead),
      sent: past.sent + sum((socket) => socket.bytesWritten),
    }),
    async close() {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

async function listen(server: Server, where: Where): Promise<{ host: string; port: number }> {
  server.listen(
    "path" in where ? { path: where.path } : { host: where.host ?? "127.0.0.1", port: where.port ?? 0 },
  );
  await once(server, "listening");
  const address = server.address() as AddressInfo | string;
  return typeof address === "string"
    ? { host: address, port: 0 }
    : { host: address.address, port: address.port };
}
