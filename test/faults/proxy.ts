// A TCP proxy on loopback that stands for the network between, and can do to it what networks do.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface Proxy {
  port: number;
  /** Resets every connection. */
  reset(): void;
  /** From now on nothing passes and nothing is refused: connections stand, and what is sent goes nowhere. */
  freeze(): void;
  thaw(): void;
  /** From now on connections are refused; those that stand are reset. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  /** Holds up each piece for so long; 0 for not at all. */
  delay(ms: number): void;
  /** connections so far */
  total(): number;
  /** the most that was held up at once on its way from the server, in bytes */
  mostUnderWay(): number;
}

/** Starts one in front of a loopback port, for the running test. */
export async function startProxy(to: number): Promise<Proxy> {
  const pairs = new Set<[Socket, Socket]>();
  const state = { frozen: false, delayMs: 0, total: 0, underWay: 0, most: 0 };
  const drop = (pair: [Socket, Socket]) => {
    pairs.delete(pair);
    for (const socket of pair) socket.destroy();
  };
  const onConnection = (from: Socket) => {
    state.total++;
    const pair: [Socket, Socket] = [from, connect(to, "127.0.0.1")];
    pairs.add(pair);
    for (const [index, socket] of pair.entries()) {
      const other = pair[1 - index] as Socket;
      socket.on("error", () => undefined).on("close", () => state.frozen || drop(pair));
      socket.on("data", (chunk: Buffer) => {
        if (state.frozen) return; // swallowed: as when the other end has forgotten the connection
        if (state.delayMs === 0) return pass(socket, other, chunk);
        const counted = socket === pair[1] ? chunk.length : 0;
        state.underWay += counted;
        state.most = Math.max(state.most, state.underWay);
        setTimeout(() => {
          state.underWay -= counted;
          pass(socket, other, chunk);
        }, state.delayMs);
        return undefined;
      });
    }
  };
  let server = createServer(onConnection);
  const listen = async (port: number) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(0);
  const reset = () => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    pairs.clear();
  };
  onTestFinished(() => {
    server.close();
    reset();
  });
  return {
    port,
    reset,
    freeze: () => void (state.frozen = true),
    thaw: () => {
      state.frozen = false;
      // What ended meanwhile is told now.
      for (const pair of pairs) if (pair.some((socket) => socket.destroyed)) drop(pair);
    },
    cut: async () => {
      const closed = once(server, "close");
      server.close();
      reset();
      await closed;
    },
    mend: async () => {
      server = createServer(onConnection);
      await listen(port);
    },
    delay: (ms) => void (state.delayMs = ms),
    total: () => state.total,
    mostUnderWay: () => state.most,
  };
}

function pass(from: Socket, to: Socket, chunk: Buffer): void {
  if (to.destroyed || to.write(chunk) || from.isPaused()) return;
  from.pause();
  to.once("drain", () => from.resume());
}
