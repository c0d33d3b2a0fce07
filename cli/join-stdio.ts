// stdin and stdout joined to a channel, byte for byte.
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { messageOf, TundError } from "../shared/errors.ts";
import { STDIO_PROTOCOL, stdioPath } from "../shared/routes.ts";
import type { Context } from "./command.ts";

type Streams = Pick<Context, "stdin" | "rawStdout">;

/**
 * Turns a connection to the control socket into the channel that waits under the ticket, and joins it to stdin and
 * stdout until the channel is closed. An end in either direction is passed on while the other goes on.
 * @throws TundError NOT_FOUND when the ticket is not good any more, CONNECTION_LOST when the channel breaks
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
      answer.resume();
      reject(new TundError("NOT_FOUND", "the channel was given up before it was joined"));
    });
    asking.on("error", (error) => reject(lost(error)));
    asking.end();
  });
}

const lost = (error: unknown): TundError =>
  new TundError("CONNECTION_LOST", `the channel broke: ${messageOf(error)}`, { cause: error });

function join(socket: Socket, { stdin, rawStdout }: Streams): Promise<void> {
  return new Promise((resolve, reject) => {
    stdin.on("data", (chunk: Buffer) => {
      if (socket.write(chunk)) return;
      stdin.pause();
      socket.once("drain", () => stdin.resume());
    });
    stdin.on("end", () => socket.end());
    stdin.on("error", () => socket.end());
    socket.on("data", (chunk: Buffer) => {
      if (rawStdout.write(chunk)) return;
      socket.pause();
      rawStdout.onceDrained(() => socket.resume());
    });
    let flushed = Promise.resolve();
    socket.on("end", () => void (flushed = rawStdout.end()));
    socket.on("error", (error) => reject(lost(error)));
    socket.on("close", () => {
      stdin.destroy(); // it may be open for ever, and nobody reads it any more
      flushed.then(resolve, reject);
    });
  });
}
