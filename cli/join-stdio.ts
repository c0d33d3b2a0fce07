// stdin and stdout joined to a channel, byte for byte.
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { errnoOf, messageOf, TundError } from "../shared/errors.ts";
import { STDIO_PROTOCOL, stdioPath } from "../shared/routes.ts";
import { receive, refusalOf } from "./client.ts";
import type { Context } from "./command.ts";
import { unreachable } from "./unreachable.ts";

type Streams = Pick<Context, "stdin" | "rawStdout">;

// How soon it is noticed that the channel is gone, when it had ended before and stdin says nothing.
const LOOK_EVERY_MS = 200;

/**
 * Turns a connection to the control socket into the channel that waits under the ticket, and joins it to stdin and
 * stdout until the channel is closed. An end in either direction is passed on while the other goes on.
 * @throws TundError what the daemon says of the ticket, DAEMON_UNREACHABLE when it says nothing, CONNECTION_LOST when
 *   the channel breaks
 */
export async function joinStdio(streams: Streams, socketPath: string, ticket: string): Promise<void> {
  const socket = await upgrade(socketPath, ticket);
  await join(socket, streams);
}

function upgrade(path: string, ticket: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const asking = request({
      path: stdioPath(ticket),
      headers: { connection: "Upgrade", upgrade: STDIO_PROTOCOL },
      // Half-open: the channel's end must not be ours.
      createConnection: () => connect({ path, allowHalfOpen: true }),
    });
    asking.on("upgrade", (_answer, socket: Socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    asking.on("response", (answer) => {
      receive(answer).then((reply) => reject(refusalOf(reply)), reject);
    });
    asking.on("error", (error) => reject(unreachable(path, error)));
    asking.end();
  });
}

const lost = (error: unknown): TundError =>
  new TundError("CONNECTION_LOST", `the channel broke: ${messageOf(error)}`, { cause: error });

// The only raw bytes of tunctl: they go to stdout as they are, which print.ts never does.
function join(socket: Socket, { stdin, rawStdout }: Streams): Promise<void> {
  return new Promise((resolve, reject) => {
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
      flushed = rawStdout.end();
      watch = lookForClose(socket);
    });
    socket.on("error", (error) => {
      // Once it had ended, there is nothing left to lose: this is how we hear that it was closed as well.
      if (flushed === undefined || errnoOf(error) !== "EPIPE") reject(lost(error));
    });
    socket.on("close", () => {
      clearInterval(watch);
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
