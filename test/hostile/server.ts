// A hostile SSH server on loopback, and an ssh_config that leads to it.
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { makeKey } from "../support/ssh-key.ts";
import { SshConfig } from "../support/ssh-config.ts";
import { tempDir } from "../support/temp-dir.ts";
import { type HostKey, newHostKey, Peer, type PeerOptions } from "./peer.ts";
import { type Play, playOn } from "./session.ts";

export interface HostileServer {
  port: number;
  hostKey: HostKey;
  sshConfig: string;
  /** connections so far */
  connections: () => number;
  /** What becomes of the next connections. */
  play(play: Play, options?: Omit<PeerOptions, "hostKey">): void;
  /** What becomes of the next connections' bare sockets: nothing is said to them but this. */
  serve(onSocket: (socket: Socket) => void): void;
  /** Adds a host of another name, that is this server too. */
  addHost(name: string, settings?: Readonly<Record<string, string | number>>): Promise<void>;
  /** Resets every connection. */
  drop(): void;
  stop(): Promise<void>;
}

/** Starts it; `hostile` is its name in the ssh_config, and it is known there. */
export async function startHostileServer(): Promise<HostileServer> {
  const place = await tempDir();
  const hostKey = newHostKey();
  const sockets = new Set<Socket>();
  let connections = 0;
  let onSocket: (socket: Socket) => void = (socket) => socket.destroy();
  const server = createServer({ noDelay: true }, (socket) => {
    connections++;
    sockets.add(socket.on("error", () => undefined));
    socket.once("close", () => sockets.delete(socket));
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const identity = await makeKey(join(place.path, "id_ed25519"), "ed25519");
  const knownHosts = join(place.path, "known_hosts");
  await writeFile(knownHosts, `[127.0.0.1]:${port} ssh-ed25519 ${hostKey.blob.toString("base64")}\n`);
  const config = new SshConfig(join(place.path, "ssh_config"), {
    HostName: "127.0.0.1",
    Port: port,
    User: "alice",
    IdentityFile: identity.path,
    IdentityAgent: "none",
    UserKnownHostsFile: knownHosts,
    GlobalKnownHostsFile: "/dev/null",
    ConnectTimeout: 10,
  });
  const addHost = (name: string, settings = {}) => config.add(name, settings);
  await addHost("hostile");
  return {
    port,
    hostKey,
    sshConfig: config.path,
    connections: () => connections,
    play: (play, options = {}) => {
      onSocket = (socket) => {
        const peer = new Peer(socket, { hostKey, ...options });
        playOn(peer, play);
        peer.greet();
      };
    },
    serve: (run) => (onSocket = run),
    addHost,
    drop: () => sockets.forEach((socket) => socket.resetAndDestroy()),
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await place.remove();
    },
  };
}
