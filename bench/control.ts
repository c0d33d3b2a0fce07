// Connections that stay open, and over which one question is put after the other: tund's control socket, and ssh's mux socket.
import { Agent, type IncomingMessage, request } from "node:http";
import { once } from "node:events";
import { HELLO, packet, rawClient } from "../test/support/mux.ts";

export interface Control {
  /** Gives the body of the answer. @throws Error when it is not 200 */
  call(method: string, path: string, body?: object): Promise<string>;
  close(): void;
}

/** Speaks to a daemon over one connection. Who opens it closes it. */
export function openControl(socketPath: string): Control {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    call: async (method, path, body) => {
      const headers = body === undefined ? {} : { "content-type": "application/json" };
      const asked = request({ socketPath, agent, method, path, headers });
      asked.end(body === undefined ? undefined : JSON.stringify(body));
      const [answer] = (await once(asked, "response")) as [IncomingMessage];
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      if (answer.statusCode !== 200) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
      return text;
    },
    close: () => agent.destroy(),
  };
}

const OPEN_FORWARD = 0x10000006;
const CLOSE_FORWARD = 0x10000007;
const OK = 0x80000001;
const LOCAL = 1;

export interface Mux {
  /** Sets a forward of 127.0.0.1:`port` up, and cancels it. @throws Error when it cannot be */
  forwardAndCancel(port: number, destination: number): Promise<void>;
  close(): void;
}

/** Speaks OpenSSH's mux protocol to a master over one connection. Who opens it closes it. */
export async function openMux(path: string): Promise<Mux> {
  const { socket, next } = await rawClient(path);
  socket.write(HELLO);
  await next();
  return {
    forwardAndCancel: async (port, destination) => {
      for (const verb of [OPEN_FORWARD, CLOSE_FORWARD]) {
        socket.write(packet(verb, 1, LOCAL, "127.0.0.1", port, "127.0.0.1", destination));
        const answer = await next();
        if (answer?.readUInt32BE() !== OK) throw new Error(`the mux socket refused: ${answer?.toString()}`);
      }
    },
    close: () => socket.destroy(),
  };
}
