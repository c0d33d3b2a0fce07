// A way to a server that is shut until a test opens it: it takes connections, and passes nothing on.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Gate {
  port: number;
  /** connections so far */
  connections: () => number;
  /** how many bytes have come from those who wait */
  received: () => number;
  /** Says this to all who wait. */
  say(words: string): void;
  /** Passes on what comes from those who wait, and to them, from now on. */
  open(): void;
  stop(): void;
}

/** Starts one on loopback before a server there. */
export async function startGate(to: number): Promise<Gate> {
  const waiting = new Map<Socket, Buffer[]>();
  const sockets = new Set<Socket>();
  let connections = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
  };
  const server = createServer((socket) => {
    connections++;
    keep(socket);
    const came: Buffer[] = [];
    waiting.set(socket, came);
    socket.on("data", (chunk: Buffer) => came.push(chunk));
    socket.once("close", () => waiting.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    received: () => [...waiting.values()].flat().reduce((sum, { length }) => sum + length, 0),
    say: (words) => waiting.forEach((_came, socket) => socket.write(words)),
    open: () => {
      for (const [socket, came] of waiting) {
        const onward = connect(to, "127.0.0.1");
        keep(onward);
        socket.removeAllListeners("data");
        onward.write(Buffer.concat(came));
        socket.pipe(onward).pipe(socket);
        socket.once("close", () => onward.destroy());
      }
      waiting.clear();
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** A ProxyCommand that leads to a port here, and needs nothing but node. */
export const proxyTo = (port: number): string =>
  `${process.execPath} -e "const s=require('net').connect(${port},'127.0.0.1');process.stdin.pipe(s).pipe(process.stdout);s.on('close',()=>process.exit())"`;
