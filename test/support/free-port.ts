import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/**
 * A TCP port that nobody listened on a moment ago. Somebody else can take it before it is used: whoever can, asks for
 * port 0 instead, or tries again.
 */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
