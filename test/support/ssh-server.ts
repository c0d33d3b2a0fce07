// An SSH server of ssh2's, in this process, with switches: to refuse, stall, drop and say odd things.
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2, { type AuthContext, type Connection, type ServerChannel } from "ssh2";

export interface Switches {
  /** what becomes of a request to open direct-tcpip */
  open: "connect" | "refuse" | "never";
  /** whether the first login is let in */
  authentication: "accept" | "refuse" | "never";
  /** called before a keepalive is answered, and before a channel is opened: a test's clock may go on meanwhile */
  onKeepalive: () => void;
  onOpen: () => void;
  /** how many bytes it sends on each new channel at once, whatever it was granted */
  overrun: number;
  /** what becomes of a request for new keys, on connections that are made after that */
  newKeys: "exchange" | "never" | "other host key";
}

export interface SshServer {
  port: number;
  switches: Switches;
  sshConfig: string;
  /** connections that are authenticated now */
  connections: () => number;
  /** logins so far */
  logins: () => number;
  /** attempts to log in that were neither accepted nor refused */
  undecided: () => number;
  /** channels that are open now */
  channels: () => number;
  /** channels that were asked for */
  wanted: () => number;
  /** channels so far */
  opened: () => number;
  /** what each channel was granted when its first data came, in bytes */
  windows: () => readonly number[];
  /** how often keys were exchanged on connections that stood */
  rekeys: () => number;
  /** lets those in that were to be neither accepted nor refused ("never") */
  admit(): void;
  /** asks for new keys on every connection */
  rekey(): void;
  /** resets every connection */
  drop(): void;
  /** stops reading and answering, without closing anything */
  freeze(): void;
  close(): Promise<void>;
}

const { Server, utils } = ssh2;

/** Starts a server on a free loopback port; `sshConfig` names it `fake`, with a key that it accepts. */
export async function startSshServer(extraConfig: readonly string[] = []): Promise<SshServer> {
  const hostKey = makeHostKey();
  const identity = makeHostKey();
  const directory = await mkdtemp(join(tmpdir(), "t-"));
  const switches: Switches = {
    open: "connect",
    authentication: "accept",
    onKeepalive: () => undefined,
    onOpen: () => undefined,
    overrun: 0,
    newKeys: "exchange",
  };
  const sockets = new Set<Socket>();
  const clients = new Set<Connection>();
  const channels = new Set<ServerChannel>();
  const windows: number[] = [];
  const undecided: AuthContext[] = [];
  let logins = 0;
  let rekeys = 0;
  let opened = 0;
  let wanted = 0;

  const server = new Server({ hostKeys: [hostKey.private] }, (client) => {
    client.on("error", () => undefined);
    client.on("close", () => clients.delete(client));
    client.on("rekey", () => rekeys++);
    client.on("authentication", (context) => {
      if (switches.authentication === "never") return void undecided.push(context);
      if (switches.authentication === "accept" && context.method === "publickey") context.accept();
      else context.reject(["publickey"]);
    });
    client.on("ready", () => {
      logins++;
      clients.add(client);
      spoilNewKeys(client, switches.newKeys);
    });
    // ssh2 refuses keepalives by itself, as a server should.
    const { _protocol: protocol } = client as unknown as { _protocol: { requestFailure(): void } };
    const refuse = protocol.requestFailure.bind(protocol);
    protocol.requestFailure = () => {
      switches.onKeepalive();
      refuse();
    };
    client.on("tcpip", (accept, reject, { destIP, destPort }) => {
      wanted++;
      if (switches.open === "never") return;
      if (switches.open === "refuse") return reject();
      const socket = connect({ host: destIP, port: destPort, allowHalfOpen: true });
      socket.once("error", () => reject());
      socket.once("connect", () => {
        switches.onOpen();
        const channel = accept();
        channels.add(channel);
        opened++;
        channel.on("close", () => channels.delete(channel));
        socket.removeAllListeners("error").on("error", () => channel.close());
        const { outgoing } = channel as unknown as { outgoing: { window: number } };
        channel.once("data", () => windows.push(outgoing.window));
        channel.pipe(socket).pipe(channel);
        overrun(client, channel, switches.overrun);
      });
    });
  });
  // ssh2's Server hands out no sockets; its net.Server sees each one first.
  const { _srv: listener } = server as unknown as {
    _srv: { on(name: "connection", run: (socket: Socket) => void): void };
  };
  listener.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  const sshConfig = join(directory, "ssh_config");
  await writeFile(join(directory, "id"), identity.private, { mode: 0o600 });
  await writeFile(
    join(directory, "known_hosts"),
    `[127.0.0.1]:${port} ssh-ed25519 ${hostKey.blob.toString("base64")}\n`,
  );
  const lines = [
    "Host fake fake-*",
    "  HostName 127.0.0.1",
    `  Port ${port}`,
    "  User nobody",
    `  IdentityFile ${join(directory, "id")}`,
    "  IdentitiesOnly yes",
    `  UserKnownHostsFile ${join(directory, "known_hosts")}`,
    "  GlobalKnownHostsFile /dev/null",
    ...extraConfig.map((line) => `  ${line}`),
  ];
  await writeFile(sshConfig, `${lines.join("\n")}\n`);

  return {
    port,
    switches,
    sshConfig,
    connections: () => clients.size,
    logins: () => logins,
    undecided: () => undecided.length,
    channels: () => channels.size,
    opened: () => opened,
    wanted: () => wanted,
    windows: () => windows,
    rekeys: () => rekeys,
    admit: () => {
      switches.authentication = "accept";
      for (const context of undecided.splice(0)) {
        if (context.method === "publickey") context.accept();
        else context.reject(["publickey"]);
      }
    },
    rekey: () => clients.forEach((client) => client.rekey()),
    drop: () => sockets.forEach((socket) => socket.resetAndDestroy()),
    freeze: () =>
      sockets.forEach((socket) => {
        socket.removeAllListeners("data").pause();
        socket.write = () => true;
      }),
    close: async () => {
      sockets.forEach((socket) => socket.destroy());
      server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function overrun(client: Connection, channel: ServerChannel, bytes: number): void {
  const { _protocol: protocol } = client as unknown as {
    _protocol: { channelData(id: number, data: Buffer): void };
  };
  const { outgoing } = channel as unknown as { outgoing: { id: number } };
  const packet = Buffer.alloc(32 * 1024);
  for (let left = bytes; left > 0; left -= packet.length) protocol.channelData(outgoing.id, packet);
}

const KEXINIT = 20; // RFC 4253 section 12

function spoilNewKeys(client: Connection, how: Switches["newKeys"]): void {
  type OnPayload = (payload: Buffer) => void;
  const { _protocol: protocol } = client as unknown as {
    _protocol: { _hostKeys: unknown; _decipher: { _onPayload: OnPayload } };
  };
  if (how === "other host key") protocol._hostKeys = { "ssh-ed25519": utils.parseKey(makeHostKey().private) };
  if (how !== "never") return;
  const { _onPayload: take } = protocol._decipher;
  protocol._decipher._onPayload = (payload) => {
    if (payload[0] !== KEXINIT) take(payload);
  };
}

/** Makes a key pair. One in 200 of those that ssh2 1.17 makes is malformed, hence the loop. */
export function makeHostKey(): { private: string; blob: Buffer } {
  for (;;) {
    const pair = utils.generateKeyPairSync("ed25519");
    const parsed = utils.parseKey(pair.private);
    if (!(parsed instanceof Error)) return { private: pair.private, blob: parsed.getPublicSSH() };
  }
}
