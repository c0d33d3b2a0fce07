// Opening a channel for a connection that was accepted here: now, or when the link is back, and with an end to the patience.
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import type { Channel, Originator } from "../ssh/channel.ts";
import type { FixedDestination } from "./local.ts";
import type { Parking } from "./parking.ts";

// Longer than a server waits for most destinations, shorter than anybody waits for an answer.
const OPEN_DEADLINE_MS = 60_000;

/** What a forward knows of its master's link. */
export interface MasterLink {
  /** there, away and coming back by itself, or neither */
  outlook(): "up" | "coming" | "gone";
  /** Dials, if nothing does: somebody waits. */
  want(): void;
  /** Opens a channel. @throws TundError why not */
  openChannel(from: Originator, to: FixedDestination): Promise<Channel>;
}

export interface Outbound {
  link: MasterLink;
  parking: Parking;
  clock: Clock;
}

// An open that was under way when the link broke may be told of it before the master is.
const MOST_TRIES = 3;

/**
 * Opens a channel for an accepted connection, of which nothing was passed on yet: while the link is away it is parked.
 * @throws TundError why there is none
 */
export async function openWhenLinked(
  { link, parking, clock }: Outbound,
  from: Originator,
  to: FixedDestination,
  socket: Socket,
): Promise<Channel> {
  for (let tries = 1; ; tries++) {
    if (link.outlook() === "coming") {
      link.want();
      await parking.wait(socket);
    }
    try {
      return await withinDeadline(link.openChannel(from, to), clock);
    } catch (error) {
      const mayComeBack =
        error instanceof TundError && error.code === "CONNECTION_LOST" && tries < MOST_TRIES;
      if (!mayComeBack || socket.destroyed) throw error;
      await nextTurn();
      if (link.outlook() === "gone") throw error;
    }
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Gives up a channel that nobody wants any more: closed, and read to its end, or it would never be told of it. */
export function abandon({ stream }: Channel): void {
  stream.close();
  stream.resume();
}

/** Waits for a channel; one that comes too late is closed. @throws TundError CHANNEL_CONNECT_FAILED after `ms`, 60 s */
export function withinDeadline(
  opening: Promise<Channel>,
  clock: Clock,
  ms = OPEN_DEADLINE_MS,
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = clock.after(ms, () => {
      late = true;
      const seconds = ms / 1000;
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
