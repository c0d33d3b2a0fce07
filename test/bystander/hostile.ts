// SSH servers of ssh2's that send what no server should, and as much of it as they can.
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import ssh2, { type AuthContext, type Connection } from "ssh2";
import { makeHostKey } from "../support/ssh-server.ts";
import { SshConfig } from "../support/ssh-config.ts";
import { tempDir } from "../support/temp-dir.ts";

/** The members of ssh2's protocol that such a server needs. */
export interface Protocol {
  _packetRW: { write: { alloc(size: number): Buffer; allocStart: number; finalize(packet: Buffer): Buffer } };
  _cipher: { encrypt(packet: Buffer): void };
  forwardedTcpip(channel: number, window: number, packetSize: number, config: unknown): void;
  channelOpenConfirm(remote: number, local: number, window: number, packetSize: number): void;
}

export interface Hostile {
  client: Connection;
  protocol: Protocol;
  /** Sends a message (RFC 4250 section 4.1.2 has the numbers). */
  send: (payload: Buffer) => void;
  /** Sends so many messages as quickly as they are taken, and reads nothing meanwhile; ends early when the connection does. */
  flood: (message: (index: number) => Buffer, count: number) => Promise<void>;
}

export interface HostileServer {
  /** in which it is `bad` */
  sshConfig: string;
  port: number;
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
  const place = await tempDir();
  const hostKey = makeHostKey();
  const clients = new Set<Connection>();
  const server = new ssh2.Server({ hostKeys: [hostKey.private] }, (client) => {
    clients.add(client);
    client.on("error", () => undefined);
    client.on("close", () => clients.delete(client));
    const hostile = hostileOf(client, () => clients.has(client));
    client.on("authentication", (context) =>
      authentication === undefined ? context.accept() : authentication(context, hostile),
    );
    connected?.(hostile);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const knownHosts = join(place.path, "known_hosts");
  await writeFile(knownHosts, `[127.0.0.1]:${port} ssh-ed25519 ${hostKey.blob.toString("base64")}\n`);
  const config = new SshConfig(join(place.path, "ssh_config"), {
    HostName: "127.0.0.1",
    Port: port,
    User: "alice",
    IdentityFile: "none",
    IdentityAgent: "none",
    UserKnownHostsFile: knownHosts,
    GlobalKnownHostsFile: "/dev/null",
  });
  await config.add("bad", {});
  return {
    sshConfig: config.path,
    port,
    stop: async () => {
      for (const client of clients) client.end();
      server.close();
      await place.remove();
    },
  };
}

// Who is over its share may be read slowly, or no more.
const PATIENCE_MS = 8000;
const HIGH_WATER = 8 * 1024 * 1024;

function hostileOf(client: Connection, isOpen: () => boolean): Hostile {
  const { _protocol: protocol, _sock: socket } = client as unknown as {
    _protocol: Protocol;
    _sock: Socket;
  };
  const send = (payload: Buffer) => {
    const { write } = protocol._packetRW;
    const packet = write.alloc(payload.length);
    payload.copy(packet, write.allocStart);
    protocol._cipher.encrypt(write.finalize(packet));
  };
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
  return { client, protocol, send, flood };
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
