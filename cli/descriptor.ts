// Text for stdout and stderr, written to the descriptor itself: making Node's stream for it takes 1.5 ms.
import { writeSync } from "node:fs";
import { errnoOf } from "../shared/errors.ts";

/** What is used of Node's stream. */
interface Stream {
  write(bytes: Buffer): unknown;
  readonly isTTY?: boolean | undefined;
}

/** A descriptor as somewhere to write text to. */
export interface Descriptor {
  write(text: string): void;
  readonly isTTY: boolean | undefined;
  /** Whether there is text that it would not take at once, and that goes out later. */
  readonly isBehind: boolean;
}

/**
 * Writes to a descriptor.
 * @param stream makes Node's stream for it: that takes what is left when a pipe is full that does not block
 * @param onError is told why it cannot be written to (EPIPE when nobody reads it)
 */
export function descriptor(fd: number, stream: () => Stream, onError: (error: unknown) => void): Descriptor {
  let behind: Stream | undefined;
  const writeNow = (bytes: Buffer): void => {
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(fd, bytes, written);
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") return onError(error);
      behind = stream();
      behind.write(bytes.subarray(written));
    }
  };
  return {
    write: (text) =>
      void (behind === undefined ? writeNow(Buffer.from(text)) : behind.write(Buffer.from(text))),
    get isTTY() {
      return stream().isTTY;
    },
    get isBehind() {
      return behind !== undefined;
    },
  };
}
