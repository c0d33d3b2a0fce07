// The last words to a peer, and the end of its stream, whether or not the peer does its part.
import type { Duplex } from "node:stream";
import type { Clock } from "../shared/clock.ts";

const LINGER_MS = 1000;

/**
 * Ends a stream: what is still to be written, with `lastWords` behind it, has a second to go out; then it is destroyed. It
 * is read meanwhile: one that has unread data is reset, and the words with it (RFC 9112 section 9.6), and a paused one is
 * never told that its peer has gone.
 */
export function endSoon(stream: Duplex, clock: Clock, lastWords?: Buffer | string): void {
  if (stream.destroyed) return;
  const close = () => {
    timer.cancel();
    stream.destroy();
  };
  const timer = clock.after(LINGER_MS, close);
  // Once both ends have ended, and all is written, it is of no more use.
  stream.once("end", () => (stream.writableFinished ? close() : stream.once("finish", close)));
  stream.once("close", close).resume();
  if (!stream.writableEnded) stream.end(lastWords);
}
