// An agent that signs when somebody has agreed, which takes a while.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { startAgent } from "./agent.ts";
import { tempDir } from "./temp-dir.ts";

// PROTOCOL.agent (draft-ietf-sshm-ssh-agent) section 6.
const SIGN_REQUEST = 13;

/** Starts one that has this identity, and answers a request to sign after `delayMs`. Who starts it stops it. */
export async function startSlowAgent(identity: string, delayMs: number) {
  const agent = await startAgent();
  await agent.add(identity);
  const place = await tempDir();
  const socket = join(place.path, "slow");
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(agent.socket);
    clients.add(client).add(upstream);
    client.on("error", () => undefined).on("close", () => upstream.destroy());
    upstream.on("error", () => undefined).on("close", () => client.destroy());
    upstream.on("data", (answer: Buffer) => client.write(answer));
    client.on("data", (request: Buffer) => {
      const delay = request[4] === SIGN_REQUEST ? delayMs : 0;
      setTimeout(() => upstream.write(request), delay);
    });
  });
  server.listen(socket);
  await once(server, "listening");
  return {
    /** what SSH_AUTH_SOCK is to be */
    socket,
    stop: async () => {
      server.close();
      for (const client of clients) client.destroy();
      await agent.stop();
      await place.remove();
    },
  };
}
