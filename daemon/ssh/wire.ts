// What an SSH connection's bytes go over when that is no TCP connection of its own: a channel, or a program's stdin and stdout.
import { Duplex, type Readable } from "node:stream";
import type { Channel } from "./channel.ts";

/** A net.Socket is one. */
export interface Wire extends Duplex {
  /** bytes received so far */
  readonly bytesRead: number;
  /** bytes passed on so far */
  readonly bytesWritten: number;
  readonly remoteAddress?: string | undefined;
  /** the address that was dialled, where it is a TCP connection of its own */
  readonly dialled?: string | undefined;
  /** how long it took to connect to that, in milliseconds */
  readonly tookMs?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

/** What a wire is joined from. */
export interface Ends {
  readable: Readable;
  /** Passes bytes on; `done` asks for more. */
  write: (chunk: Buffer, done: () => void) => void;
  /** Says that nothing more will be written. */
  end: () => void;
  /** Ends both directions for good. */
  close: () => void;
}

/** Two one-way streams as one wire, which counts what it receives. Who made the ends ends it when they do. */
export class JoinedWire extends Duplex implements Wire {
  readonly #ends: Ends;
  #bytesRead = 0;
  #bytesWritten = 0;

  constructor(ends: Ends) {
    super({ allowHalfOpen: true });
    this.#ends = ends;
    this.pause(); // as a MasterSocket: what comes is read once somebody listens to 'data' and calls resume()
    this.on("error", () => undefined); // it can come at any time; who uses the wire hears it too
    ends.readable.on("data", (chunk: Buffer) => {
      this.#bytesRead += chunk.length;
      if (!this.push(chunk)) ends.readable.pause();
    });
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  override _read(): void {
    this.#ends.readable.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#bytesWritten += chunk.length;
    this.#ends.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#ends.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#ends.close();
    done(error);
  }
}

/** A channel of another connection as a wire: what ProxyJump goes over. `onEnd` is called once when it has ended. */
export function channelWire({ stream, link, watch }: Channel, onEnd: () => void): Wire {
  const wire = new JoinedWire({
    readable: stream,
    write: (chunk, done) =>
      void stream.write(chunk, () => {
        if (link.congested) link.whenDrained(done);
        else done();
      }),
    end: () => void stream.end(),
    close: () => {
      stream.close();
      stream.resume(); // ssh2 tells the end of a channel only to who reads it
    },
  });
  stream.once("end", () => wire.push(null));
  stream.once("close", () => wire.destroy());
  wire.once("close", onEnd);
  watch?.(wire);
  return wire;
}
