// Joins a local socket and a channel: bytes both ways, half-close both ways, bounded memory, one end.
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { Channel } from "../ssh/channel.ts";

/** Where the bytes are counted; one for all channels of a forward. */
export interface ByteCount {
  in: number;
  out: number;
}

// Bulk data comes in packets of 32 KiB, two or more to a read: holding such a packet back until the read is over makes
// one writev of them. A small packet goes out at once: waiting would cost a keystroke some 40 µs.
const BULK_BYTES = 16 * 1024;

// As much as Node reads at once. A read that is this long is followed by up to 31 more before anything else has its turn
// (libuv's uv__read), and a keystroke on another channel would wait for all of them.
const LONGEST_READ_BYTES = 64 * 1024;

// What may wait in the socket for a slow reader before the channel is paused; the channel's window bounds the rest.
const SOCKET_QUEUE_BYTES = 512 * 1024;

/**
 * Splices until the socket is gone, then calls `onEnd` once. The socket must be paused and half-open.
 * End of data in one direction is passed on (FIN, CHANNEL_EOF) while the other goes on; a broken socket closes the
 * channel; a closed channel ends the socket once its data is written.
 */
export function splice(socket: Socket, channel: Channel, bytes: ByteCount, onEnd: () => void): void {
  const { stream, link } = channel;
  pumpIn(socket, channel, bytes);
  pumpOut(socket, channel, bytes);
  channel.watch?.(socket);
  // Nothing can reach the server any more; what it sent still goes to the client.
  stream.once("close", () => socket.destroySoon());
  socket.once("close", (broken: boolean) => {
    stream.resume(); // an unread channel is never told that it has ended, and would stay for ever
    const close = () => {
      if (!link.gone) stream.close();
    };
    // The client may be done while what it sent still waits for the server's window: closing now would cut it off.
    if (!broken && stream.writableEnded && !stream.writableFinished) stream.once("finish", close);
    else close();
    onEnd();
  });
}

/** From the channel to the socket. */
function pumpIn(socket: Socket, { stream, link }: Channel, bytes: ByteCount): void {
  let corked = false;
  const uncork = () => {
    if (corked) socket.uncork();
    corked = false;
    return socket.writableLength === 0;
  };
  stream.on("data", (chunk: Buffer) => {
    bytes.in += chunk.length;
    const isRead = link.loans.accept(chunk, uncork);
    if (socket.destroyed) return;
    if (!corked && chunk.length >= BULK_BYTES) {
      corked = true;
      socket.cork();
      if (!isRead) setImmediate(uncork);
    }
    socket.write(chunk);
    if (socket.writableLength > SOCKET_QUEUE_BYTES) stream.pause();
  });
  socket.on("drain", () => stream.resume());
  whenEnded(stream, () => endWriting(socket));
  stream.resume(); // a handshake on it leaves it paused
}

/** Sends FIN. Where nothing is to come either, close(2) does, without a shutdown(2) before it and what Node has around that. */
function endWriting(socket: Socket): void {
  if (socket.readableEnded && socket.writableLength === 0) socket.destroy();
  else socket.end();
}

/** From the socket to the channel, no faster than the channel's window and the master's queue allow. */
function pumpOut(socket: Socket, { stream, link }: Channel, bytes: ByteCount): void {
  const resume = () => {
    if (link.congested) link.whenDrained(resume);
    else socket.resume();
  };
  socket.on("data", (chunk: Buffer) => {
    if (link.gone) return void socket.destroy();
    bytes.out += chunk.length;
    const hasRoom = stream.write(chunk);
    if (hasRoom && !link.congested && chunk.length < LONGEST_READ_BYTES) return;
    socket.pause();
    if (!hasRoom) stream.once("drain", resume);
    else if (link.congested) link.whenDrained(resume);
    else setImmediate(resume);
  });
  whenEnded(socket, () => {
    if (!link.gone) stream.end();
  });
  resume();
}

/** Who sent its end right behind a SOCKS request may have been heard to the end before there was a splice. */
function whenEnded(stream: Readable, passOn: () => void): void {
  if (stream.readableEnded) passOn();
  else stream.once("end", passOn);
}
