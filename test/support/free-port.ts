import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { errnoOf } from "../../shared/errors.ts";

// Below what the kernel gives to whoever does not ask for a port (ip_local_port_range), on every system.
const LOWEST = 12_000;
const HIGHEST = 32_000;

/**
 * A TCP port that nobody listens on, and that no other test is given as long as this process lives: its number is taken,
 * among all who ask here, by the same UDP port.
 */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST);
    if ((await isFree(port, host)) && (await take(port))) return port;
  }
}

async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    if (errnoOf(error) === "EADDRINUSE") return false;
    throw error;
  }
  server.close();
  await once(server, "close");
  return true;
}

async function take(port: number): Promise<boolean> {
  const reservation = createSocket("udp4").unref();
  try {
    reservation.bind({ port, address: "127.0.0.1", exclusive: true });
    await once(reservation, "listening");
    return true;
  } catch {
    reservation.close();
    return false;
  }
}
