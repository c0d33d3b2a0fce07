// The one place where tunctl connects to the control socket while other things go on; blocking-exchange.ts is the other way.
import { connect, type Socket } from "node:net";
import { descriptorOf } from "../shared/native/load.ts";
import {
  type ControlSocket,
  refuseForeignPeer,
  refuseForeignSocket,
  refuseOpenPath,
} from "./control-socket.ts";

interface Ways {
  /** The other side's end is not ours. */
  allowHalfOpen?: boolean;
  /** Ends it, also once it is connected. */
  signal?: AbortSignal | undefined;
}

/**
 * Connects; nothing has been sent when it is known who answers.
 * @throws ForeignSocketError for somebody else's socket or listener, and Error of the system
 */
export async function connectControl(
  control: ControlSocket,
  { signal, ...options }: Ways = {},
): Promise<Socket> {
  refuseForeignSocket(control.path);
  if (control.native === null) refuseOpenPath(control.path);
  const socket = connect({ path: control.path, ...options, ...(signal && { signal }) });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    // It stays: whoever has the socket next hears 'error' too, and is not there yet.
    socket.on("error", reject);
  });
  try {
    refuseForeignPeer(control, descriptorOf(socket));
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
