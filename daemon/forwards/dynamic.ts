// A dynamic forward (ssh -D): each connection accepted here says, by SOCKS or HTTP CONNECT, where its channel is to go.
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { asTundError } from "../../shared/errors.ts";
import { readProxyRequest } from "./handshake.ts";
import { type ListenHere, type OpenChannel, originatorOf } from "./local.ts";
import type { Incoming, Joined, Point } from "./point.ts";

/** How long a client may take to say where it wants to go. */
export const HANDSHAKE_DEADLINE_MS = 30_000;

export interface DynamicOptions {
  listen: ListenHere;
  openChannel: OpenChannel;
  clock: Clock;
}

/** The point of a dynamic forward. Names are resolved at the far end. */
export const dynamicPoint = (options: DynamicOptions): Point => ({
  isRemote: false,
  listen: (accept) => options.listen((socket) => accept(incoming(socket, options))),
});

function incoming(socket: Socket, options: DynamicOptions): Incoming {
  const originator = originatorOf(socket);
  return {
    originator,
    join: () => join(socket, options),
    destroy: () => socket.destroy(),
  };
}

async function join(socket: Socket, { openChannel, clock }: DynamicOptions): Promise<Joined> {
  const request = await readProxyRequest(socket, { clock, deadlineMs: HANDSHAKE_DEADLINE_MS });
  try {
    const channel = await openChannel(originatorOf(socket), request.destination, socket);
    request.grant();
    return { socket, channel };
  } catch (error) {
    request.refuse(asTundError(error));
    throw error;
  }
}
