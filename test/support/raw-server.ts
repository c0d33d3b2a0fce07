// An SSH server of ssh2's, in this process, that says whatever a test has it say: payloads as they go on the wire.
import { once } from "node:events";
import { type AddressInfo } from "node:net";
import ssh2, { type AuthContext, type Connection } from "ssh2";
import { loopbackConfig } from "./ssh-config.ts";
import { makeHostKey } from "./ssh-server.ts";
import { tempDir } from "./temp-dir.ts";

interface Writer {
  allocStart: number;
  alloc(length: number): Buffer;
  finalize(packet: Buffer): Buffer;
}

interface Inside {
  _protocol: {
    _packetRW: { write: Writer };
    _cipher: { encrypt(packet: Buffer): void };
    forwardedTcpip(channel: number, window: number, packetSize: number, to: unknown): void;
    channelOpenConfirm(remote: number, local: number, window: number, packetSize: number): void;
  };
  _sock: { writableLength: number };
}

const inside = (client: Connection): Inside => client as unknown as Inside;

/** Sends a payload (RFC 4253 section 6), whatever state the connection is in. */
export function say(client: Connection, payload: Buffer): void {
  const { _packetRW, _cipher } = inside(client)._protocol;
  const { write } = _packetRW;
  const at = write.allocStart;
  const packet = write.alloc(payload.length);
  payload.copy(packet, at);
  _cipher.encrypt(write.finalize(packet));
}

/** Has the maximum packet size of channels that are opened from now on be another one (RFC 4254 section 5.1). */
export function offerPacketSize(client: Connection, bytes: number): void {
  const protocol = inside(client)._protocol;
  const forwarded = protocol.forwardedTcpip.bind(protocol);
  protocol.forwardedTcpip = (channel, window, _size, to) => forwarded(channel, window, bytes, to);
  const confirm = protocol.channelOpenConfirm.bind(protocol);
  protocol.channelOpenConfirm = (remote, local, window) => confirm(remote, local, window, bytes);
}

export interface RawServer {
  directory: string;
  sshConfig: string;
  /** connections so far */
  connections: () => number;
  addHost(name: string, settings?: Readonly<Record<string, string | number>>): Promise<void>;
  stop(): Promise<void>;
}

export interface RawServerOptions {
  /** what becomes of an authentication request; accepted when it is left out */
  onAuthentication?: (context: AuthContext, client: Connection) => void;
  onConnection?: (client: Connection) => void;
}

/** Starts it on loopback; `raw` is its name in the ssh_config, and logs in as `alice` without a key. */
export async function startRawServer(options: RawServerOptions = {}): Promise<RawServer> {
  const place = await tempDir();
  const hostKey = makeHostKey();
  const clients = new Set<Connection>();
  let connections = 0;
  const server = new ssh2.Server({ hostKeys: [hostKey.private] }, (client) => {
    connections++;
    clients.add(client);
    client.on("error", () => undefined).on("close", () => clients.delete(client));
    client.on("authentication", (context) => {
      if (options.onAuthentication === undefined) context.accept();
      else options.onAuthentication(context, client);
    });
    options.onConnection?.(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { config } = await loopbackConfig(place.path, port, hostKey.blob);
  await config.add("raw", {});
  return {
    directory: place.path,
    sshConfig: config.path,
    connections: () => connections,
    addHost: (name, more = {}) => config.add(name, more),
    stop: async () => {
      for (const client of clients) client.end();
      server.close();
      await place.remove();
    },
  };
}
