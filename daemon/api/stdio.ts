// Where a control connection becomes a channel itself: GET /v1/stdio/TICKET with `Upgrade: tund-stdio`.
import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import type { Problem } from "../../shared/records.ts";
import { errors } from "../../shared/errors.ts";
import { STDIO_PROTOCOL, stdioPath } from "../../shared/routes.ts";
import type { Registry } from "../masters/registry.ts";

const SWITCHING = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${STDIO_PROTOCOL}\r\n\r\n`;

/** Serves upgrades. Every other one is refused: there is nothing else to upgrade to. */
export function serveStdio(server: Server, registry: Pick<Registry, "takeStdio">): void {
  server.on("upgrade", (request: IncomingMessage, duplex, head: Buffer) => {
    const socket = duplex as Socket; // the server listens on a Unix socket alone
    socket.on("error", () => undefined);
    socket.pause();
    const ticket = ticketOf(request);
    const join = ticket === undefined ? undefined : registry.takeStdio(ticket);
    if (join === undefined) return refuse(socket);
    if (head.length > 0) socket.unshift(head);
    // Before the splice, which may have data at once.
    socket.write(SWITCHING);
    return join(socket);
  });
}

function ticketOf({ url = "", headers }: IncomingMessage): string | undefined {
  const ticket = /[^/]*$/.exec(url)?.[0] ?? "";
  const isOurs =
    headers.upgrade === STDIO_PROTOCOL && headers.origin === undefined && url === stdioPath(ticket);
  return isOurs ? ticket : undefined;
}

function refuse(socket: Socket): void {
  const problem: Problem = { code: "NOT_FOUND", message: "there is no such channel (any more)" };
  const body = JSON.stringify(problem);
  const { status } = errors[problem.code];
  socket.end(
    `HTTP/1.1 ${status} Not Found\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
