// A daemon that knows its answers by heart, for tests of tunctl alone: it runs in this process, on a real control socket.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { mkdir } from "node:fs/promises";
import type { Server, Socket } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Context } from "../../cli/command.ts";
import { run } from "../../cli/run.ts";
import { type ErrorCode, errors } from "../../shared/errors.ts";
import { version } from "../../shared/version.ts";
import { noStreams } from "./no-streams.ts";
import { ago, forward, master, now } from "./records.ts";
import { tempDir } from "./temp-dir.ts";

/** What tunctl wrote, and its exit code. */
export interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** What a test has its own of; `isTTY` is stdout's. */
type More = Partial<Context> & { isTTY?: boolean };

/** A context without a daemon or streams that writes into `written`; `more` goes before what it has. */
export const contextOf = (
  written: { out: string; err: string },
  { isTTY = false, ...more }: More = {},
): Context => ({
  env: {},
  cwd: "/home/me",
  home: "/home/me",
  platform: process.platform,
  ...noStreams(),
  stdout: { isTTY, write: (text) => (written.out += text) },
  stderr: { write: (text) => (written.err += text) },
  openTerminal: () => null,
  pid: 4711,
  native: null,
  stdoutDescriptor: null,
  onSignal: () => undefined,
  programs: { node: "node", tund: "tund" },
  now: () => now,
  readServices: () => "",
  ...more,
});

/** Runs a command line in this process. */
export async function tunctl(argv: readonly string[], more: More = {}): Promise<Outcome> {
  const written = { out: "", err: "" };
  const code = await run(argv, contextOf(written, more));
  return { code, ...written };
}

/** A path for a socket where a state directory has it; removed after the test. */
export async function controlSocket(): Promise<string> {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  await mkdir(join(directory.path, "run"), { mode: 0o700 });
  return join(directory.path, "run", "tund.sock");
}

/** Lets a server listen there until the test is over. Gives the path. */
export async function listening(server: Server): Promise<string> {
  const path = await controlSocket();
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  await new Promise<void>((listens) => server.listen(path, listens));
  onTestFinished(async () => {
    const closed = new Promise((closes) => void server.close(closes));
    for (const socket of open) socket.destroy();
    await closed;
  });
  return path;
}

/** Listens with one answer to everything. */
export const saying = (status: number, body: string, speaks = version): Promise<string> =>
  listening(
    createServer((_, outgoing) => void outgoing.writeHead(status, { "tund-version": speaks }).end(body)),
  );

/** The daemon of `tunctl status`. */
export const daemon = {
  version,
  pid: 99,
  since: ago(86_400),
  socket: "/run/tund.sock",
  node: "v20.20.2",
  nativeCrypto: true,
  log: { lost: 0, failure: null },
  descriptors: { limit: 1024, refused: 0 },
};

/** An answer that refuses. */
export class Refusal {
  readonly code: ErrorCode;
  readonly message: string;

  constructor(code: ErrorCode, message: string) {
    this.code = code;
    this.message = message;
  }
}

/** By method and path: an object, a Refusal, or a function of the request's body that gives either. */
export type Answers = Record<string, unknown>;

const standing: Answers = {
  "GET /v1/status": { daemon, masters: [master] },
  "GET /v1/masters": { masters: [master] },
  "GET /v1/masters/db": master,
  "GET /v1/forwards": { forwards: [forward] },
  "POST /v1/forwards": { forwards: [forward] },
  "POST /v1/forwards/cancel": { forwards: [forward] },
  "PUT /v1/masters/db": master,
  "DELETE /v1/masters/db": master,
  "POST /v1/masters/db/stop": master,
  "POST /v1/masters/db/check": { host: "db", pid: 4242, roundTripMs: 12.34 },
  "POST /v1/stdio": { ticket: "t1" },
};

interface Canned {
  answers?: Answers;
  /** Takes the connections that ask to be upgraded; without, they are refused. */
  upgrade?: (socket: Socket, incoming: IncomingMessage) => void;
}

/** Starts a daemon with these answers before the standing ones, and gives tunctl to ask it, and what was asked. */
export async function cannedDaemon({ answers = {}, upgrade }: Canned = {}) {
  const requests: unknown[][] = [];
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      const body: unknown = text === "" ? undefined : JSON.parse(text);
      requests.push([`${incoming.method} ${incoming.url}`, ...(body === undefined ? [] : [body])]);
      const known = { ...standing, ...answers }[`${incoming.method} ${incoming.url?.split("?")[0]}`];
      reply(outgoing, typeof known === "function" ? (known as (body: unknown) => unknown)(body) : known);
    });
  });
  if (upgrade !== undefined)
    server.on("upgrade", (incoming, duplex) => {
      requests.push([`${incoming.method} ${incoming.url}`]);
      upgrade(duplex as Socket, incoming); // the server listens on a Unix socket alone
    });
  const socket = await listening(server);
  return {
    socket,
    requests,
    tunctl: (argv: readonly string[], more: More = {}) =>
      tunctl(argv, { env: { TUND_SOCKET: socket }, ...more }),
  };
}

function reply(outgoing: ServerResponse, answer: unknown): void {
  outgoing.setHeader("tund-version", version);
  if (answer instanceof Refusal) outgoing.statusCode = errors[answer.code].status;
  outgoing.end(JSON.stringify(answer ?? null));
}
