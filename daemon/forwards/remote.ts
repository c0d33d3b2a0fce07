// A remote forward (ssh -R): the server listens, and each connection that it accepts comes as a channel to be joined here.
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { asTundError, TundError } from "../../shared/errors.ts";
import { formatAddress, formatDestination } from "../../shared/forward-spec.ts";
import type { Channel } from "../ssh/channel.ts";
import type { RemoteBind, RemoteListening, RemoteOpen } from "../ssh/remote-listeners.ts";
import type { Files } from "../files.ts";
import type { Resolver } from "../resolver.ts";
import { dialHere, type Dialling } from "./dial-here.ts";
import { HANDSHAKE_DEADLINE_MS } from "./dynamic.ts";
import { readProxyRequest } from "./handshake.ts";
import type { FixedDestination } from "./local.ts";
import { abandon } from "./outbound.ts";
import type { Incoming, Joined, Listening, Point } from "./point.ts";

/** Asks the master's server to listen. @throws TundError FORWARD_REFUSED, CONNECTION_LOST */
export type ListenThere = (bind: RemoteBind, onOpen: (open: RemoteOpen) => void) => Promise<RemoteListening>;

export interface RemoteOptions {
  bind: RemoteBind;
  /** null: SOCKS, served here (ssh -R port) */
  destination: FixedDestination | null;
  listen: ListenThere;
  /** whether a socket may stay that has just got its descriptor; one that may not is closed */
  admits: (socket: Socket) => boolean;
  /** PermitRemoteOpen of ssh_config(5), for SOCKS */
  permits: (host: string, port: number) => boolean;
  files: Files;
  resolver: Resolver;
  clock: Clock;
}

/** The point of a remote forward. */
export const remotePoint = (options: RemoteOptions): Point => ({
  isRemote: true,
  listen: (accept, again) => listen(options, (open) => accept(incoming(open, options)), again),
});

async function listen(
  { bind, listen: ask }: RemoteOptions,
  onOpen: (open: RemoteOpen) => void,
  again: number | null,
): Promise<Listening> {
  const isAnyPort = "port" in bind && bind.port === 0;
  const listening = await ask(isAnyPort && again !== null ? { ...bind, port: again } : bind, onOpen);
  const port = listening.port;
  return {
    boundTo: ["path" in bind ? bind.path : formatAddress(bind.address || "*", port ?? bind.port)],
    warnings: [],
    allocatedPort: isAnyPort ? port : null,
    close: () => listening.cancel(),
  };
}

function incoming(open: RemoteOpen, options: RemoteOptions): Incoming {
  const { destination, admits } = options;
  if (destination === null) return proxied(open, options);
  const dialling = dialHere(destination, { ...options, owner: options });
  return {
    originator: open.originator,
    join: async () => {
      try {
        const socket = admitted(await dialling.connected, admits);
        return { socket, channel: open.accept() };
      } catch (error) {
        open.reject();
        throw error;
      }
    },
    destroy: () => dialling.destroy(),
  };
}

function proxied(open: RemoteOpen, options: RemoteOptions): Incoming {
  const channel = open.accept();
  let dialling: Dialling | undefined;
  return {
    originator: open.originator,
    join: () => joinProxied(channel, options, (started) => (dialling = started)),
    destroy: () => {
      if (dialling === undefined) abandon(channel);
      else dialling.destroy();
    },
  };
}

async function joinProxied(
  channel: Channel,
  options: RemoteOptions,
  onDialling: (dialling: Dialling) => void,
): Promise<Joined> {
  const { admits, permits, clock } = options;
  let joined = false;
  // What is refused is still said before the channel is closed.
  channel.stream.once("finish", () => {
    if (!joined) abandon(channel);
  });
  const request = await readProxyRequest(channel.stream, { clock, deadlineMs: HANDSHAKE_DEADLINE_MS });
  try {
    const { host, port } = request.destination;
    if (!permits(host, port))
      throw new TundError(
        "CHANNEL_PROHIBITED",
        `PermitRemoteOpen does not permit ${formatDestination({ host, port })}`,
      );
    const dialling = dialHere(request.destination, { ...options, owner: options });
    onDialling(dialling);
    const socket = admitted(await dialling.connected, admits);
    joined = true;
    request.grant();
    return { socket, channel };
  } catch (error) {
    request.refuse(asTundError(error));
    throw error;
  }
}

function admitted(socket: Socket, admits: RemoteOptions["admits"]): Socket {
  if (!admits(socket))
    throw new TundError("CHANNEL_RESOURCE_SHORTAGE", "connect failed: too many open files");
  return socket;
}
