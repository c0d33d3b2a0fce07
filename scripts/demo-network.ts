// The small world of the demo: a bastion that speaks SSH, and web servers that only the bastion can find by name.
import { createServer, type Server as WebServer } from "node:http";
import { type AddressInfo, connect, type Server as NetServer } from "node:net";
import ssh2 from "ssh2";
import type { AuthContext, Connection, ParsedKey, ServerChannel } from "ssh2";

/** The demo's bastion, as whoever connects to it needs to know it. */
export interface DemoNetwork {
  port: number;
  /** The bastion's public host key, as known_hosts has it. */
  hostKey: string;
  /** The private key that it lets in, in OpenSSH's format. */
  identity: string;
  /** SSH connections that it has right now: its own word on how many masters there are. */
  connections(): number;
  /** How often somebody has logged in, all in all. */
  logins(): number;
  close(): Promise<void>;
}

const listening = async (server: NetServer): Promise<number> => {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return (server.address() as AddressInfo).port;
};

function webServer(page: string): WebServer {
  return createServer((_request, response) => {
    response.setHeader("connection", "close");
    response.end(`${page}\n`);
  });
}

/** Makes a key pair. One in 200 of those that ssh2 1.17 makes is malformed, hence the loop. */
function makeKey(): { private: string; public: string; parsed: ParsedKey } {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync("ed25519");
    const parsed = ssh2.utils.parseKey(pair.private);
    if (!(parsed instanceof Error)) return { ...pair, parsed };
  }
}

function admit(context: AuthContext, allowed: ParsedKey): void {
  if (context.method !== "publickey") return context.reject(["publickey"]);
  const same = context.key.algo === allowed.type && context.key.data.equals(allowed.getPublicSSH());
  // Without a signature it is the question whether this key would do (RFC 4252 section 7).
  if (context.signature === undefined || context.blob === undefined)
    return same ? context.accept() : context.reject(["publickey"]);
  // An error is returned, not thrown, whatever the types say.
  const verdict: unknown = allowed.verify(context.blob, context.signature, context.hashAlgo);
  return same && verdict === true ? context.accept() : context.reject(["publickey"]);
}

/** Joins a channel to a web server; when one of the two ends badly, so does the other. */
function join(channel: ServerChannel, port: number): void {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => channel.close());
  channel.on("error", () => socket.destroy());
  channel.on("close", () => socket.destroy());
  channel.pipe(socket).pipe(channel);
}

function serve(client: Connection, allowed: ParsedKey, names: ReadonlyMap<string, number>): void {
  client.on("error", () => client.end());
  client.on("authentication", (context) => admit(context, allowed));
  client.on("session", (_accept, reject) => reject());
  client.on("tcpip", (accept, reject, { destIP, destPort }) => {
    const port = names.get(`${destIP}:${destPort}`);
    if (port === undefined) return reject();
    return join(accept(), port);
  });
}

/** Starts the bastion, and behind it a web server for each page: `host:port` → what it says. */
export async function startDemoNetwork(pages: Record<string, string>): Promise<DemoNetwork> {
  const names = new Map<string, number>();
  const webServers: WebServer[] = [];
  for (const [name, page] of Object.entries(pages)) {
    const server = webServer(page);
    webServers.push(server);
    names.set(name, await listening(server));
  }

  const host = makeKey();
  const user = makeKey();

  const clients = new Set<Connection>();
  let logins = 0;
  const bastion = new ssh2.Server({ hostKeys: [host.private] }, (client) => {
    clients.add(client);
    client.on("ready", () => logins++);
    client.on("close", () => clients.delete(client));
    serve(client, user.parsed, names);
  });
  return {
    port: await listening(bastion),
    hostKey: host.public,
    identity: user.private,
    connections: () => clients.size,
    logins: () => logins,
    async close() {
      for (const client of clients) client.end();
      const servers = [bastion, ...webServers];
      await Promise.all(servers.map((server) => new Promise((resolve) => void server.close(resolve))));
    },
  };
}
