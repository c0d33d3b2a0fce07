// A transfer that goes on while something else breaks, and checks every byte of its own.
import type { Socket } from "node:net";
import { randomBytes } from "node:crypto";
import { dialLoopback, dialPath } from "../support/tcp.ts";

export interface Transfer {
  /** bytes that have come back so far, each as it was sent */
  bytes(): number;
  /** the longest that nothing came back, in milliseconds */
  longestPauseMs(): number;
  /** Ends it. @throws Error when a byte was wrong, or the connection did not last */
  end(): Promise<void>;
}

const BLOCK = randomBytes(64 * 1024);

/** Sends to an echo server and compares what comes back, until it is ended. @param to a loopback port, or a path */
export async function startTransfer(to: number | string): Promise<Transfer> {
  const socket = typeof to === "number" ? await dialLoopback(to) : await dialPath(to);
  let [received, longest, last] = [0, 0, performance.now()];
  let failure: Error | undefined;
  let ending = false;
  const fail = (why: string) =>
    (failure ??= new Error(`the transfer beside it ${why} after ${received} bytes`));
  socket.on("data", (chunk: Buffer) => {
    const at = received % BLOCK.length;
    const expected = Buffer.concat([BLOCK.subarray(at), BLOCK]).subarray(0, chunk.length);
    if (!chunk.equals(expected)) fail("was garbled");
    received += chunk.length;
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  });
  socket.once("close", () => void (ending || fail("was cut off")));
  pump(socket, () => ending);
  return {
    bytes: () => received,
    longestPauseMs: () => Math.round(longest),
    end: async () => {
      ending = true;
      const closed = new Promise((resolve) => void socket.once("close", resolve));
      if (!socket.destroyed) {
        socket.end();
        await closed;
      }
      if (failure !== undefined) throw failure;
    },
  };
}

// 6 MB/s: enough to be in the middle of something at any moment, and the processor is left to the others.
const PAUSE_MS = 10;

function pump(socket: Socket, ended: () => boolean): void {
  const timer = setInterval(() => {
    if (ended() || socket.destroyed) clearInterval(timer);
    else if (!socket.writableNeedDrain) socket.write(BLOCK);
  }, PAUSE_MS);
}
