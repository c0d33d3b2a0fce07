// A SOCKS5 client (RFC 1928), as small as it can be.
import { once } from "node:events";
import type { Socket } from "node:net";

const GREETING = Buffer.from([5, 1, 0]);

/** All that a client says to be joined to a port of 127.0.0.1: its greeting, and the request behind it. */
export const socks5Request = (port: number): Buffer =>
  Buffer.concat([GREETING, Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 0xff])]);

/** As socks5Request, for a name that the far end is to resolve. */
export const socks5NameRequest = (name: string, port: number): Buffer =>
  Buffer.concat([
    GREETING,
    Buffer.from([5, 1, 0, 3, name.length]),
    Buffer.from(name, "latin1"),
    Buffer.from([port >> 8, port & 0xff]),
  ]);

/**
 * Reads both answers to such a request, and not a byte more; the socket is paused then. Gives the reply code, or
 * undefined when the proxy closed without one.
 */
export async function socks5Reply(socket: Socket): Promise<number | undefined> {
  const method = await take(socket, 2);
  // The reply is 10 bytes long for an IPv4 address, and nobody here answers with another.
  const reply = method && (await take(socket, 10));
  return reply?.[1];
}

/** Exactly so many bytes, or undefined when the other side ends before. */
async function take(socket: Socket, length: number): Promise<Buffer | undefined> {
  let got = Buffer.alloc(0);
  while (got.length < length) {
    const chunk = await chunkOf(socket);
    if (chunk === undefined) return undefined;
    got = Buffer.concat([got, chunk]);
  }
  if (got.length > length) socket.unshift(got.subarray(length));
  return got.subarray(0, length);
}

async function chunkOf(socket: Socket): Promise<Buffer | undefined> {
  const over = new AbortController();
  const gone = () => over.abort();
  socket.once("end", gone).once("close", gone);
  try {
    const chunk = once(socket, "data", { signal: over.signal }) as Promise<[Buffer]>;
    socket.resume();
    const [bytes] = await chunk;
    socket.pause();
    return bytes;
  } catch {
    return undefined; // ended, or reset
  } finally {
    socket.off("end", gone).off("close", gone);
  }
}
