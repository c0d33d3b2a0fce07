// Pushing bytes into a socket, and what comes out of one.
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pseudoRandom } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { readAll } from "../support/tcp.ts";

/** Sends so many pseudo-random bytes, then its end. @throws the socket's error */
export async function pour(socket: Socket, length: number): Promise<void> {
  // `end: false`, and then an end of our own: pipeline would also wait for the other direction.
  await pipeline(Readable.from(pseudoRandom(length)), socket, { end: false });
  socket.end();
}

/** The SHA-256 of all that arrives until the end, in hex. @throws the socket's error */
export async function digestOf(socket: Socket): Promise<string> {
  const hash = createHash("sha256");
  socket.on("data", (chunk: Buffer) => void hash.update(chunk)).resume();
  if (!socket.readableEnded) await once(socket, "end");
  return hash.digest("hex");
}

/** What digestOf should give for so many of pour's bytes. */
export function digestOfPoured(length: number): string {
  const hash = createHash("sha256");
  for (const chunk of pseudoRandom(length)) hash.update(chunk);
  return hash.digest("hex");
}

/** Sends a text one way and another back, then ends both. @throws Error when something else arrives */
export async function converse({ near, far }: { near: Socket; far: Socket }): Promise<void> {
  near.end("from here");
  const there = (await readAll(far)).toString();
  far.end("from there");
  const here = (await readAll(near)).toString();
  if (there !== "from here" || here !== "from there") throw new Error(`got '${there}' and '${here}'`);
}

/** Ends a connection without ceremony: with a reset where there is such a thing, and Unix sockets have none. */
export function breakOff(socket: Socket): void {
  if (socket.remoteFamily === undefined) socket.destroy();
  else socket.resetAndDestroy();
}

const CHUNK = Buffer.alloc(64 * 1024);
// Readings in a row, 20 ms apart, that have to be the same: longer than any pause on loopback.
const STILL_READINGS = 12;

/** Writes up to `most` bytes for as long as anybody takes them; how many the system had taken when it all stood still. */
export async function floodUntilStill(socket: Socket, most: number): Promise<number> {
  let accepted = 0;
  const push = () => {
    if (socket.destroyed || accepted >= most) return;
    socket.write(CHUNK, (error) => {
      if (error) return;
      accepted += CHUNK.length;
      push();
    });
  };
  push();
  let last = -1;
  let readings = 0;
  await eventually(
    () => {
      readings = accepted === last ? readings + 1 : 0;
      last = accepted;
      return readings >= STILL_READINGS || socket.closed;
    },
    { deadlineMs: 20_000 },
  );
  return accepted;
}
