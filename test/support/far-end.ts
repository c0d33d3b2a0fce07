// A destination whose connections the test holds in its own hands.
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { eventually } from "./eventually.ts";

export interface FarEnd {
  /** as a forward's destination has it: `127.0.0.1:PORT`, or a path */
  destination: string;
  /** 127.0.0.1, or the path */
  host: string;
  /** 0 for a Unix socket */
  port: number;
  /** Settles with the connection that comes next, half-open; nobody reads it yet. @throws Error when none comes */
  next(): Promise<Socket>;
  /** While it is set, connections are echoed, their end too, and `next` is not told of them. */
  echo(on: boolean): void;
  /** connections that are open now */
  open(): number;
  close(): Promise<void>;
}

/** Listens on a loopback port of the system's choice, or on a path. */
export async function startFarEnd(path?: string): Promise<FarEnd> {
  const waiting: Socket[] = [];
  const all = new Set<Socket>();
  let echoes = false;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    all.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => all.delete(socket));
    if (echoes) socket.pipe(socket);
    else waiting.push(socket);
  });
  server.listen(path === undefined ? { host: "127.0.0.1", port: 0 } : { path });
  await once(server, "listening");
  const port = path === undefined ? (server.address() as AddressInfo).port : 0;
  return {
    destination: path ?? `127.0.0.1:${port}`,
    host: path ?? "127.0.0.1",
    port,
    next: () => eventually(() => waiting.shift() ?? false),
    echo: (on) => {
      echoes = on;
    },
    open: () => all.size,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of all) socket.destroy();
      await closed;
    },
  };
}
