// far.c's like, for machines without a compiler.
import { createServer, type Socket } from "node:net";

const CHUNK = Buffer.alloc(256 * 1024);
const HEADER = 8;

const source = (socket: Socket): void => {
  const pour = (): void => {
    while (!socket.destroyed && socket.write(CHUNK));
  };
  socket.on("drain", pour).resume();
  pour();
};

/** Begins by reading how many bytes make a block; each block that has arrived is acknowledged with a byte. */
const sink = (socket: Socket): void => {
  let header = Buffer.alloc(0);
  let block = 0;
  let arrived = 0;
  socket.on("data", (chunk) => {
    if (header.length < HEADER) {
      header = Buffer.concat([header, chunk]);
      if (header.length < HEADER) return;
      block = Number(header.readBigUInt64LE());
      arrived = -HEADER; // what is behind the header counts
      chunk = header;
    }
    const before = Math.max(0, Math.floor(arrived / block));
    arrived += chunk.length;
    const acknowledged = Math.floor(arrived / block) - before;
    if (acknowledged > 0) socket.write("k".repeat(acknowledged));
  });
};

const echo = (socket: Socket): void => void socket.pipe(socket);

const listen = (serve: (socket: Socket) => void): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer({ noDelay: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      serve(socket);
    });
    // Connections are asked for in bursts; the system's own backlog should not count.
    server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
      resolve((server.address() as { port: number }).port);
    });
  });

const ports = { source: await listen(source), sink: await listen(sink), echo: await listen(echo) };
console.log(JSON.stringify(ports));
process.stdin.once("end", () => process.exit()).resume();
