// Where a control connection becomes something else: a channel (stdio), or what a master is held by.
import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { errors } from "../../shared/errors.ts";
import type { Problem } from "../../shared/records.ts";
import { HOLD_HEADER, HOLD_PATH, HOLD_PROTOCOL, STDIO_PROTOCOL, stdioPath } from "../../shared/routes.ts";
import { visible } from "../../shared/visible.ts";
import { endSoon } from "../lingering.ts";
import type { Registry } from "../masters/registry.ts";

const switching = (protocol: string, header = ""): string =>
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${header}\r\n`;

type Behind = Pick<Registry, "takeStdio" | "holding">;

/** Serves upgrades. Every other one is refused: there is nothing else to upgrade to. */
export function serveUpgrades(server: Server, registry: Behind, clock: Clock): void {
  server.on("upgrade", (request: IncomingMessage, duplex, head: Buffer) => {
    const socket = duplex as Socket; // the server listens on a Unix socket alone
    socket.on("error", () => undefined);
    socket.pause();
    if (isFor(request, HOLD_PROTOCOL, HOLD_PATH)) return hold(socket, registry, clock);
    const ticket = /[^/]*$/.exec(request.url ?? "")?.[0] ?? "";
    const isStdio = isFor(request, STDIO_PROTOCOL, stdioPath(ticket));
    const join = isStdio ? registry.takeStdio(ticket) : undefined;
    if (join === undefined) return refuse(socket, clock);
    if (head.length > 0) socket.unshift(head);
    // Before the splice, which may have data at once.
    socket.write(switching(STDIO_PROTOCOL));
    return join(socket);
  });
}

// A browser has no business here either.
const isFor = ({ url, headers }: IncomingMessage, protocol: string, path: string): boolean =>
  headers.upgrade === protocol && headers.origin === undefined && url === path;

// The holder sends nothing more: what it has to say is that it goes away.
function hold(socket: Socket, { holding }: Behind, clock: Clock): void {
  // A holder in the background shows it as it is, and one that is stopped does not hang up.
  const onOver = (why: string | null) => endSoon(socket, clock, why === null ? "" : `${visible(why)}\n`);
  const { id, letGo } = holding.open(onOver);
  socket.once("end", letGo);
  socket.once("close", letGo);
  socket.write(switching(HOLD_PROTOCOL, `${HOLD_HEADER}: ${id}\r\n`));
  socket.resume();
}

function refuse(socket: Socket, clock: Clock): void {
  const problem: Problem = { code: "NOT_FOUND", message: "there is no such channel (any more)" };
  const body = JSON.stringify(problem);
  const { status } = errors[problem.code];
  endSoon(
    socket,
    clock,
    `HTTP/1.1 ${status} Not Found\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
