// Opening a channel for a connection that was accepted here, with an end to the patience.
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import type { Channel } from "../ssh/channel.ts";

// Longer than a server waits for most destinations, shorter than anybody waits for an answer.
const OPEN_DEADLINE_MS = 60_000;

/** Gives up a channel that nobody wants any more: closed, and read to its end, or it would never be told of it. */
export function abandon({ stream }: Channel): void {
  stream.close();
  stream.resume();
}

/** Waits for a channel; one that comes too late is closed. @throws TundError CHANNEL_CONNECT_FAILED after 60 s */
export function withinDeadline(opening: Promise<Channel>, clock: Clock): Promise<Channel> {
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = clock.after(OPEN_DEADLINE_MS, () => {
      late = true;
      const seconds = OPEN_DEADLINE_MS / 1000;
      reject(
        new TundError(
          "CHANNEL_CONNECT_FAILED",
          `connect failed: the server did not answer within ${seconds} s`,
        ),
      );
    });
    opening.then(
      (channel) => {
        timer.cancel();
        if (late) abandon(channel);
        else resolve(channel);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}
