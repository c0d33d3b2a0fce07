// A client that says its piece, goes away, and takes whatever is answered.
import type { Socket } from "node:net";
import { dialLoopback, dialPath } from "../support/tcp.ts";
import { pieces } from "./mutate.ts";
import type { Random } from "./random.ts";

/** A port on loopback, or the path of a Unix socket. */
export type Door = number | string;

/** Connects, once there is room in the listener's queue. @throws the socket's error */
export const knock = (door: Door): Promise<Socket> =>
  typeof door === "number" ? dialLoopback(door) : dialPath(door);

/** How a talk ends that the other side does not end. */
export interface Patience {
  /** how long it may take until the connection is cut */
  ms?: number;
  /** Whether no more is waited for after this answer: it is one that has no end. */
  isEnough?: (answer: Buffer) => boolean;
}

/**
 * Says it, whole or in pieces, and ends; gives what was answered until the other side ended as well.
 * @throws the socket's error, when nobody listens
 */
export async function talk(
  door: Door,
  words: Buffer,
  random: Random,
  { ms = 10_000, isEnough = () => false }: Patience = {},
): Promise<Buffer> {
  const socket = await knock(door);
  let answer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    answer = Buffer.concat([answer, chunk]);
    if (isEnough(answer)) socket.destroy();
  });
  const closed = new Promise<void>((resolve) => socket.once("end", resolve).once("close", () => resolve()));
  const timer = setTimeout(() => socket.destroy(), ms);
  const cut = pieces(words, random);
  const isSlow = cut.length > 1 && random.oneIn(4);
  for (const piece of cut) {
    socket.write(piece);
    if (isSlow) await new Promise((resolve) => void setImmediate(resolve));
  }
  if (random.oneIn(8)) socket.destroy();
  else socket.end();
  await closed;
  clearTimeout(timer);
  socket.destroy();
  return answer;
}
