// Which control socket to speak to.
import { existsSync } from "node:fs";
import { maxSocketPath, socketPaths, SYSTEM_SOCKET } from "../shared/socket-path.ts";
import { type Given, secondsOf, usageError, valuesOf } from "./args.ts";
import type { Context } from "./command.ts";
import type { ControlSocket } from "./control-socket.ts";
import { socket, wait } from "./global-options.ts";

/** The control socket of a command line. @param warn as chooseSocket() @throws TundError INVALID_REQUEST as that */
export const controlSocketOf = (
  context: Context,
  given: readonly Given[],
  warn: (line: string) => unknown,
): ControlSocket => ({
  path: chooseSocket(context, valuesOf(given, socket).at(-1), warn),
  native: context.native,
});

/** How long to wait for a daemon, in seconds. @throws TundError INVALID_REQUEST */
export const waitSeconds = (given: readonly Given[]): number =>
  secondsOf(given, wait, { least: 0, most: 86_400 }) ?? 0;

/**
 * Chooses the control socket: the one that was asked for, else the first that exists of the user's own and then the
 * machine's, else the first.
 * @param warn told of runtime directories that are taken for unset, in a line each
 * @throws TundError INVALID_REQUEST when the path is too long for a socket (Node 20 and 22 would cut it short)
 */
export function chooseSocket(
  context: Context,
  asked: string | undefined,
  warn: (line: string) => unknown,
): string {
  const path = asked ?? existingPath(context, warn);
  const most = maxSocketPath(context.platform);
  if (Buffer.byteLength(path) > most)
    throw usageError(`the control socket's path has more than ${most} bytes: ${path}`);
  return path;
}

function existingPath({ env, home }: Context, warn: (line: string) => unknown): string {
  const paths = socketPaths(env, home, warn);
  if (env["TUND_SOCKET"]) return paths[0];
  return [...paths, SYSTEM_SOCKET].find((one) => existsSync(one)) ?? paths[0];
}
