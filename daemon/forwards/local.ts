// A local forward (ssh -L): each connection accepted here gets a channel to one destination.
import type { Socket } from "node:net";
import type { Channel, Originator } from "../ssh/channel.ts";
import type { Destination } from "../../shared/forward-spec.ts";
import type { Incoming, Listening, Point } from "./point.ts";

export type FixedDestination = Exclude<Destination, null>;

/** Opens a channel on the master for what came in by a socket, once the link is there, or says why not. */
export type OpenChannel = (from: Originator, to: FixedDestination, socket: Socket) => Promise<Channel>;

/** Binds on this machine and hands over each socket, paused and half-open. */
export type ListenHere = (onConnection: (socket: Socket) => void) => Promise<Listening>;

export interface LocalOptions {
  listen: ListenHere;
  destination: FixedDestination;
  openChannel: OpenChannel;
}

/** The point of a local forward. */
export const localPoint = (options: LocalOptions): Point => ({
  isRemote: false,
  listen: (accept) => options.listen((socket) => accept(incoming(socket, options))),
});

function incoming(socket: Socket, { destination, openChannel }: LocalOptions): Incoming {
  const originator = originatorOf(socket);
  return {
    originator,
    join: async () => {
      try {
        return { socket, channel: await openChannel(originator, destination, socket) };
      } catch (error) {
        socket.destroySoon(); // as ssh does: a clean end, no reset
        throw error;
      }
    },
    destroy: () => socket.destroy(),
  };
}

/** Who connected; a Unix socket's client has no address. */
export const originatorOf = (socket: Socket): Originator => ({
  address: socket.remoteAddress ?? "127.0.0.1",
  port: socket.remotePort ?? 0,
});
