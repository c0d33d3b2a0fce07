// A connection to the daemon that becomes something else (RFC 9110 section 7.8): a channel, or what a master is held by.
import { type IncomingHttpHeaders, request } from "node:http";
import type { Socket } from "node:net";
import { receive, refusalOf } from "./client.ts";
import { connectControl } from "./connect-control.ts";
import type { ControlSocket } from "./control-socket.ts";
import { unreachable } from "./unreachable.ts";

interface Upgraded {
  headers: IncomingHttpHeaders;
  socket: Socket;
}

/**
 * Asks for it. It is half-open: the other side's end is not ours.
 * @throws TundError DAEMON_UNREACHABLE, or what the daemon says
 */
export async function upgrade(
  control: ControlSocket,
  { path, protocol }: { path: string; protocol: string },
): Promise<Upgraded> {
  const failed = (error: unknown) => unreachable(control.path, error);
  const connection = await connectControl(control, { allowHalfOpen: true }).catch((error: unknown) => {
    throw failed(error);
  });
  return new Promise((resolve, reject) => {
    const headers = { connection: "Upgrade", upgrade: protocol };
    const asking = request({ path, headers, createConnection: () => connection });
    asking.on("upgrade", (answer, socket: Socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve({ headers: answer.headers, socket });
    });
    asking.on("response", (answer) => {
      receive(answer).then((reply) => reject(refusalOf(reply)), reject);
    });
    asking.on("error", (error) => reject(failed(error)));
    asking.end();
  });
}
