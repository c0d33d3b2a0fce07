// The control socket when there are hardly any descriptors left: whoever has not said what they want makes room.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";

// A command says at once what it wants; many that come together are not taken for silent ones.
const SILENT_MS = 1000;

/**
 * Has silent connections make room for one that comes when there is none; it goes itself if there are none of them.
 * @param isLast whether a connection that has just come has one of the last descriptors
 */
export function makeRoom(server: Server, isLast: (control: Socket) => boolean, clock: Clock): void {
  /** by when they came, or were answered */
  const silent = new Map<Socket, number>();
  const note = (socket: Socket) => silent.set(socket, clock.monotonic());
  server.on("connection", (socket: Socket) => {
    if (isLast(socket) && !dropSilent()) return void socket.destroy();
    note(socket);
    socket.once("close", () => silent.delete(socket));
    return undefined;
  });
  server.on("request", ({ socket }: IncomingMessage, answer: ServerResponse) => {
    silent.delete(socket);
    answer.once("close", () => (socket.destroyed ? undefined : note(socket)));
  });
  server.on("upgrade", ({ socket }: IncomingMessage) => silent.delete(socket));

  // All of them: the next ones get the descriptors of these, and only then the last ones.
  function dropSilent(): boolean {
    const before = clock.monotonic() - SILENT_MS;
    const dropped = [...silent].filter(([, since]) => since < before);
    for (const [socket] of dropped) socket.destroy();
    return dropped.length > 0;
  }
}
