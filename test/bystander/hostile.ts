// SSH servers of ssh2's that send what no server should, and as much of it as they can.
import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { AuthContext, Connection } from "ssh2";
import { say, startRawServer } from "../support/raw-server.ts";

export interface Hostile {
  client: Connection;
  /** Sends a message (RFC 4250 section 4.1.2 has the numbers). */
  send: (payload: Buffer) => void;
  /** Sends so many messages as quickly as they are taken, and reads nothing meanwhile; ends early when the connection does. */
  flood: (message: (index: number) => Buffer, count: number) => Promise<void>;
}

export interface HostileServer {
  /** in which it is `bad` */
  sshConfig: string;
  stop(): Promise<void>;
}

export interface Behaviour {
  /** answers a request for authentication; everybody is let in when it is left out */
  authentication?: (context: AuthContext, hostile: Hostile) => void;
  /** runs on each connection before anything of it was read */
  connected?: (hostile: Hostile) => void;
}

/** Starts one on loopback. */
export async function startHostile({ authentication, connected }: Behaviour): Promise<HostileServer> {
  const hostiles = new Map<Connection, Hostile>();
  const server = await startRawServer({
    onConnection: (client) => {
      const hostile = hostileOf(client, () => hostiles.has(client));
      hostiles.set(client, hostile);
      client.on("close", () => hostiles.delete(client));
      connected?.(hostile);
    },
    ...(authentication && {
      onAuthentication: (context, client) => {
        const hostile = hostiles.get(client);
        if (hostile !== undefined) authentication(context, hostile);
      },
    }),
  });
  await server.addHost("bad");
  return server;
}

// Who is over its share may be read slowly, or no more.
const PATIENCE_MS = 8000;
const HIGH_WATER = 8 * 1024 * 1024;

function hostileOf(client: Connection, isOpen: () => boolean): Hostile {
  const { _sock: socket } = client as unknown as { _sock: Socket };
  const send = (payload: Buffer) => say(client, payload);
  const flood = async (messageOf: (index: number) => Buffer, count: number) => {
    socket.pause();
    const end = performance.now() + PATIENCE_MS;
    const goesOn = () => isOpen() && performance.now() < end;
    for (let index = 0; index < count && goesOn(); await setImmediate())
      for (let i = 0; i < 64 && index < count && socket.writableLength < HIGH_WATER; i++)
        send(messageOf(index++));
    while (socket.writableLength > 0 && goesOn()) await setImmediate();
    socket.resume();
  };
  return { client, send, flood };
}

/** A string as SSH has it: its length, then its bytes (RFC 4251 section 5). */
export function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A message of that number. */
export const message = (number: number, ...parts: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.from([number]), ...parts]);
