// An agent that asks a person before it does something, as password managers do: a real ssh-agent behind a door that is opened
// by the test.
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type Agent, startAgent } from "./agent.ts";
import { tempDir } from "./temp-dir.ts";

type Request = "list" | "sign";

export interface AskingAgent extends Agent {
  /** what it was asked for, in order */
  asked: Request[];
  /** how many connections to it are open */
  connections: () => number;
  /** has requests of this kind wait for a person from now on */
  hold(request: Request): void;
  /** the person agrees to all that waits */
  agree(): void;
  /** the person refuses all that waits */
  refuse(): void;
}

const kinds: ReadonlyMap<number | undefined, Request> = new Map([
  [11, "list"],
  [13, "sign"],
]);
const FAILURE = Buffer.from([0, 0, 0, 1, 5]);

/** Starts one that holds nothing yet. Who starts it stops it. */
export async function startAskingAgent(): Promise<AskingAgent> {
  const [place, real] = await Promise.all([tempDir(), startAgent()]);
  const socket = join(place.path, "asking");
  const asked: Request[] = [];
  const held = new Set<Request>();
  const sockets = new Set<Socket>();
  const clients = new Set<Socket>();
  let waiting: { agree: () => void; refuse: () => void }[] = [];
  const decide = (how: "agree" | "refuse") => () => {
    for (const one of waiting.splice(0)) one[how]();
  };
  const server = createServer((client) => {
    const behind = connect(real.socket);
    for (const one of [client, behind]) {
      sockets.add(one);
      one.on("error", () => undefined);
    }
    client.once("close", () => {
      clients.delete(client);
      behind.destroy();
    });
    clients.add(client);
    behind.pipe(client);
    eachFrame(client, (frame) => {
      const kind = kinds.get(frame[4]);
      if (kind !== undefined) asked.push(kind);
      const agree = () => void behind.write(frame);
      if (kind === undefined || !held.has(kind)) agree();
      else waiting.push({ agree, refuse: () => void client.write(FAILURE) });
    });
  });
  await new Promise<void>((listens) => server.listen(socket, listens));
  return {
    socket,
    asked,
    connections: () => clients.size,
    add: (identity) => real.add(identity),
    hold: (request) => void held.add(request),
    agree: decide("agree"),
    refuse: decide("refuse"),
    stop: async () => {
      waiting = [];
      for (const one of sockets) one.destroy();
      server.close();
      await real.stop();
      await place.remove();
    },
  };
}

function eachFrame(socket: Socket, take: (frame: Buffer) => void): void {
  let received: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 4 && received.length >= 4 + received.readUInt32BE()) {
      const length = 4 + received.readUInt32BE();
      take(received.subarray(0, length));
      received = received.subarray(length);
    }
  });
}
