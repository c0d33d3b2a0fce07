// The daemon's events as they come: a JSON object a line.
import { type IncomingMessage, request } from "node:http";
import { TundError } from "../shared/errors.ts";
import type { Event } from "../shared/records.ts";
import { routes } from "../shared/routes.ts";
import { receive, refusalOf } from "./client.ts";
import { connectControl } from "./connect-control.ts";
import type { ControlSocket } from "./control-socket.ts";
import { unreachable } from "./unreachable.ts";

export interface Hearing {
  /** only what concerns this host */
  host?: string | undefined;
  /** Is told of each; gives whether to go on. */
  hear: (event: Event) => boolean;
  signal?: AbortSignal;
}

/**
 * Hears events until it has heard enough.
 * @throws TundError what the daemon says (NOT_FOUND), DAEMON_UNREACHABLE when it is not there, or no longer; what `hear`
 *   throws
 */
export async function hearEvents(control: ControlSocket, { host, hear, signal }: Hearing): Promise<void> {
  const path = routes.watchEvents.url + (host === undefined ? "" : `?host=${encodeURIComponent(host)}`);
  const stream = await openStream(control, { method: "GET", path }, signal);
  try {
    await hearLines(stream, (line) => hear(JSON.parse(line) as Event));
  } catch (error) {
    throw error instanceof TundError ? error : unreachable(control.path, error);
  } finally {
    stream.destroy();
  }
}

/** Asks for what is answered bit by bit. @throws TundError what the daemon says, DAEMON_UNREACHABLE */
export async function openStream(
  control: ControlSocket,
  question: { method: string; path: string },
  signal?: AbortSignal,
): Promise<IncomingMessage> {
  const failed = (error: unknown) => unreachable(control.path, error);
  const socket = await connectControl(control, { signal }).catch((error: unknown) => {
    throw failed(error);
  });
  return new Promise((resolve, reject) => {
    const asking = request({ ...question, createConnection: () => socket }, (answer) => {
      if (answer.statusCode === 200) resolve(answer);
      else receive(answer).then((reply) => reject(refusalOf(reply)), reject);
    });
    asking.on("error", (error) => reject(failed(error)));
    asking.end();
  });
}

/** Hears a stream line by line until `hear` gives false. @throws TundError DAEMON_UNREACHABLE when it ends before */
export async function hearLines(stream: IncomingMessage, hear: (line: string) => boolean): Promise<void> {
  let rest = "";
  stream.setEncoding("utf8");
  for await (const chunk of stream) {
    const lines = (rest + (chunk as string)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (!hear(line)) return;
  }
  throw new TundError("DAEMON_UNREACHABLE", "the daemon has ended");
}
