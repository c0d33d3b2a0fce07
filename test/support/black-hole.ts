// A loopback address that never answers: a listener in a stopped process, with its queue full. Linux drops what comes then.
import { connect, type Socket } from "node:net";
import { startInBackground } from "./background.ts";
import { eventually } from "./eventually.ts";

export interface BlackHole {
  port: number;
  close(): Promise<void>;
}

// The kernel takes one connection more than the backlog says; the rest of these make sure of it.
const FILLERS = 4;

const program = `const server = require("node:net").createServer();
server.listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => console.log(server.address().port));`;

/** Digs one. Who does fills it in again. @throws Error when it cannot be */
export async function startBlackHole(): Promise<BlackHole> {
  const listener = await startInBackground(process.execPath, ["-e", program], {
    env: process.env,
    cwd: process.cwd(),
  });
  const fillers: Socket[] = [];
  const close = async () => {
    for (const socket of fillers) socket.destroy();
    listener.kill("SIGKILL");
    await listener.end;
  };
  try {
    const port = await eventually(() => Number(/^\d+\n/.exec(listener.log())?.[0]) || false);
    listener.kill("SIGSTOP");
    let connected = 0;
    for (let filler = 0; filler < FILLERS; filler++) {
      const socket = connect(port, "127.0.0.1", () => connected++);
      fillers.push(socket.on("error", () => undefined));
    }
    await eventually(() => connected >= 2);
    return { port, close };
  } catch (error) {
    await close();
    throw error;
  }
}
