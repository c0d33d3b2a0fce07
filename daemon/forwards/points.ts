// From a settled spec to the point that its kind is made of.
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import type { Files } from "../files.ts";
import type { Resolver } from "../resolver.ts";
import { dynamicPoint } from "./dynamic.ts";
import { listenTcp, listenUnix, type StreamLocalOptions } from "./listener.ts";
import type { ListenerKeeper } from "./listener-keeper.ts";
import { type ListenHere, localPoint, type OpenChannel } from "./local.ts";
import type { Point } from "./point.ts";
import { type ListenThere, remotePoint } from "./remote.ts";
import type { SettledSpec } from "./settled.ts";

/** What a forward needs of the master that carries it, and of ssh_config. */
export interface Carrier {
  openChannel: OpenChannel;
  listenThere: ListenThere;
  streamLocal: StreamLocalOptions;
  /** who keeps listeners of this machine while the daemon is restarted */
  keeper: ListenerKeeper;
  /** whether a connection may stay that has just got its descriptor; one that may not is closed */
  admits: (socket: Socket) => boolean;
  files: Files;
  resolver: Resolver;
  /** PermitRemoteOpen */
  permits: (host: string, port: number) => boolean;
  clock: Clock;
}

/** Makes the point of a forward. @throws TundError INVALID_REQUEST for a local forward that leads nowhere */
export function pointFor({ kind, text, bind, destination }: SettledSpec, carrier: Carrier): Point {
  const { openChannel, listenThere, streamLocal, keeper, files, resolver, clock } = carrier;
  const { admits, permits } = carrier;
  const listenHere: ListenHere = (serve) => {
    const onConnection = (socket: Socket): void => (admits(socket) ? serve(socket) : undefined);
    return "path" in bind
      ? listenUnix(bind.path, { ...streamLocal, keeper, files }, onConnection)
      : listenTcp(bind, onConnection, { resolver, keeper });
  };
  switch (kind) {
    case "local":
      if (destination === null) throw new TundError("INVALID_REQUEST", `${text} has no destination`);
      return localPoint({ listen: listenHere, destination, openChannel });
    case "dynamic":
      return dynamicPoint({ listen: listenHere, openChannel, clock });
    case "remote":
      return remotePoint({ bind, destination, listen: listenThere, admits, permits, files, resolver, clock });
  }
}
