// Which control socket to speak to.
import { existsSync } from "node:fs";
import { maxSocketPath, socketPaths, SYSTEM_SOCKET } from "../shared/socket-path.ts";
import { usageError } from "./args.ts";
import type { Context } from "./command.ts";

/**
 * Chooses the control socket: the one that was asked for, else the first that exists of the user's own and then the
 * machine's, else the first.
 * @throws TundError INVALID_REQUEST when the path is too long for a socket (Node 20 and 22 would cut it short)
 */
export function chooseSocket(context: Context, asked: string | undefined): string {
  const path = asked ?? (context.env["TUND_SOCKET"] || existingPath(context));
  const most = maxSocketPath(context.platform);
  if (Buffer.byteLength(path) > most)
    throw usageError(`the control socket's path has more than ${most} bytes: ${path}`);
  return path;
}

function existingPath({ env, home }: Context): string {
  const paths = socketPaths(env, home);
  return [...paths, SYSTEM_SOCKET].find((one) => existsSync(one)) ?? paths[0];
}
