// GET /metrics on a loopback address, for a Prometheus that cannot speak to a Unix socket. Nothing else is served there.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { isIPv4, type Socket } from "node:net";
import { messageOf } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import type { Metrics } from "./metrics.ts";

export interface MetricsAddress {
  host: string;
  port: number;
}

/** Reads `[ADDRESS:]PORT`. @throws Error of one line when it is not on loopback */
export function parseMetricsAddress(text: string): MetricsAddress {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]:|([^:]+):)?(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? "127.0.0.1";
  const isLoopback = host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
  if (port === undefined || Number(port) > 65_535 || !isLoopback)
    throw new Error(
      `TUND_METRICS_LISTEN is '${text}', and must be [ADDRESS:]PORT on loopback (127.0.0.1:9417, [::1]:9417)`,
    );
  return { host, port: Number(port) };
}

/** Serves them until `close`. @throws Error when it cannot listen */
export async function serveMetrics(
  { host, port }: MetricsAddress,
  metrics: () => Promise<Metrics>,
  { log, admits }: { log: Log; admits: (socket: Socket) => boolean },
): Promise<{ close: () => void }> {
  const server = createServer((request, answer) => {
    respond(request, answer, metrics).catch((error: unknown) => {
      log.error({ err: error }, "metrics could not be written");
      // The head of an answer that cannot be gone on with is out already.
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(500).end();
    });
  });
  server.on("connection", admits);
  server.requestTimeout = 10_000;
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new Error(`TUND_METRICS_LISTEN: cannot listen on ${host}:${port}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  server.on("error", (error) => log.error({ err: error }, "metrics"));
  log.info({ address: server.address() }, "metrics are served");
  return {
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function respond(
  { method, url, headers }: IncomingMessage,
  answer: ServerResponse,
  metrics: () => Promise<Metrics>,
): Promise<void> {
  // A page in a browser must not read it, by whatever name it reaches this address.
  if (headers.origin !== undefined || !isLoopbackName(headers.host)) return void answer.writeHead(403).end();
  if (url !== "/metrics") return void answer.writeHead(404).end();
  if (method !== "GET" && method !== "HEAD") return void answer.writeHead(405, { allow: "GET, HEAD" }).end();
  const made = await metrics();
  const text = await made.text(); // before the head, which says that there is one
  return void answer.writeHead(200, { "content-type": made.contentType }).end(text);
}

const isLoopbackName = (host = ""): boolean => /^(localhost|127\.[\d.]+|\[::1\])(:\d+)?$/i.test(host);
