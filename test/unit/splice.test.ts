// The pump from a local socket to a channel, with a real socket and a channel that only counts.
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { expect, it, onTestFinished } from "vitest";
import { splice } from "../../daemon/forwards/splice.ts";
import type { Channel } from "../../daemon/ssh/channel.ts";
import { dialLoopback } from "../support/tcp.ts";

const SIZE = 8 * 1024 * 1024;
const READ = 64 * 1024;

/** A channel that takes everything, and counts what it took in each turn of the event loop. */
function countingChannel() {
  const turns: number[] = [];
  let thisTurn = 0;
  const close = () => {};
  const write = (chunk: Buffer, _: BufferEncoding, done: () => void) => {
    if (thisTurn === 0)
      setImmediate(() => {
        turns.push(thisTurn);
        thisTurn = 0;
      });
    thisTurn += chunk.length;
    done();
  };
  const stream = Object.assign(new Duplex({ read: () => {}, write, highWaterMark: 4 * SIZE }), { close });
  const loans = { accept: () => false };
  const link = { gone: false, congested: false, whenDrained: () => {}, loans };
  return { turns, channel: { stream, link } as unknown as Channel };
}

it("an upload takes a read or two of each turn, and leaves the rest of it to the others", async () => {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const client = await dialLoopback(port);
  const [socket] = await accepted;
  client.end(Buffer.alloc(SIZE));
  const { turns, channel } = countingChannel();
  const bytes = { in: 0, out: 0 };
  const ended = new Promise<void>((end) => splice(socket, channel, bytes, end));
  await once(channel.stream, "finish");
  channel.stream.destroy();
  await ended;

  expect(bytes.out).toBe(SIZE);
  expect(Math.max(...turns)).toBeLessThanOrEqual(2 * READ);
});
