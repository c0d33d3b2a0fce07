// stdin and stdout joined to a channel, byte for byte.
import type { Socket } from "node:net";
import { errnoOf, messageOf, TundError } from "../shared/errors.ts";
import { STDIO_PROTOCOL, stdioPath } from "../shared/routes.ts";
import type { Context } from "./command.ts";
import type { ControlSocket } from "./control-socket.ts";
import { onceUnread } from "./unread.ts";
import { upgrade } from "./upgrade.ts";

type Streams = Pick<Context, "stdin" | "rawStdout" | "stdoutDescriptor" | "native">;

// How soon it is noticed that the channel is gone, when it had ended before and stdin says nothing.
const LOOK_EVERY_MS = 200;

/**
 * Turns a connection to the control socket into the channel that waits under the ticket, and joins it to stdin and
 * stdout until the channel is closed. An end in either direction is passed on while the other goes on.
 * @throws TundError what the daemon says of the ticket, DAEMON_UNREACHABLE when it says nothing, CONNECTION_LOST when
 *   the channel breaks
 */
export async function joinStdio(streams: Streams, control: ControlSocket, ticket: string): Promise<void> {
  const { socket } = await upgrade(control, { path: stdioPath(ticket), protocol: STDIO_PROTOCOL });
  await join(socket, streams);
}

const lost = (error: unknown): TundError =>
  new TundError("CONNECTION_LOST", `the channel broke: ${messageOf(error)}`, { cause: error });

// The only raw bytes of tunctl: they go to stdout as they are, which print.ts never does.
function join(socket: Socket, streams: Streams): Promise<void> {
  const { stdin, rawStdout } = streams;
  return new Promise((resolve, reject) => {
    // Nothing may come for long, and then nobody would be told.
    const stopLooking = onceUnread(streams, () => socket.destroy());
    let flushed: Promise<void> | undefined;
    let watch: NodeJS.Timeout | undefined;
    stdin.on("data", (chunk: Buffer) => {
      if (socket.write(chunk)) return;
      stdin.pause();
      socket.once("drain", () => stdin.resume());
    });
    stdin.on("end", () => socket.end());
    // What cannot be read any more has ended, as for ssh.
    stdin.on("error", () => socket.end());
    socket.on("data", (chunk: Buffer) => {
      if (rawStdout.write(chunk)) return;
      socket.pause();
      rawStdout.onceDrained(() => socket.resume());
    });
    socket.on("end", () => {
      stopLooking();
      flushed = rawStdout.end();
      watch = lookForClose(socket);
    });
    socket.on("error", (error) => {
      // Once it had ended, there is nothing left to lose: this is how we hear that it was closed as well.
      if (flushed === undefined || errnoOf(error) !== "EPIPE") reject(lost(error));
    });
    socket.on("close", () => {
      clearInterval(watch);
      stopLooking();
      stdin.destroy(); // it may be open for ever, and nobody reads it any more
      (flushed ?? rawStdout.end()).then(resolve, reject);
    });
  });
}

/**
 * After the end of data the system tells nobody that the other side has closed the socket altogether. A write says so,
 * even one of no bytes, which no one receives: EPIPE.
 */
const lookForClose = (socket: Socket): NodeJS.Timeout =>
  setInterval(() => {
    // What waits to be written will tell by itself.
    if (socket.writable && socket.writableLength === 0) socket.write("");
  }, LOOK_EVERY_MS);
