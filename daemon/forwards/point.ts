// What a kind of forward is made of: where it accepts, and how an accepted connection gets its other end.
import type { Socket } from "node:net";
import type { Channel, Originator } from "../ssh/channel.ts";

/** A connection whose two ends are there. */
export interface Joined {
  /** on this machine: paused, half-open */
  socket: Socket;
  /** in the master */
  channel: Channel;
}

/** A connection that was accepted and has no other end yet. */
export interface Incoming {
  originator: Originator;
  /** Finds the other end. When there is none, ends the connection as its kind does. @throws TundError why not */
  join(): Promise<Joined>;
  /** Ends it now: join() fails if it is still under way. */
  destroy(): void;
}

export interface Listening {
  /** `127.0.0.1:5432`, `/run/x.sock`, ... */
  boundTo: string[];
  /** what did not bind and need not stop the others: a machine without IPv6 has no ::1 */
  warnings: string[];
  /** the port that the server chose when it was asked for 0 */
  allocatedPort: number | null;
  /** Stops accepting. Settles when the listener is gone, or its link. */
  close(): void | Promise<void>;
}

export interface Point {
  /** whether it listens on the server, and so only while the link is there */
  isRemote: boolean;
  /**
   * Starts accepting.
   * @param again the port that the server chose the last time: asked for first
   * @throws TundError why not
   */
  listen(accept: (incoming: Incoming) => void, again: number | null): Promise<Listening>;
}

/** What stands in place of a listener that could not be taken away: nothing is accepted, and why it is still there is told. */
export const leftover = (why: string): Listening => ({
  boundTo: [],
  warnings: [why],
  allocatedPort: null,
  close: () => undefined,
});
