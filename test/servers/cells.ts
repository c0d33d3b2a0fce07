// What a client can do over a server, each as a question that is answered with nothing, or with why not.
import { join } from "node:path";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { type LoopbackServer, pseudoRandom } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { socks5NameRequest, socks5Reply } from "../support/socks-client.ts";
import { dialLoopback, dialPath, refuses } from "../support/tcp.ts";
import type { Client, Flag } from "./clients.ts";

/** Where the forwards lead: two servers that send everything back, and then the end. */
export interface FarEnds {
  tcp: LoopbackServer;
  unix: LoopbackServer;
}

export interface Trial {
  client: Client;
  far: FarEnds;
  /** a directory in which Unix sockets can be made, by the server too */
  directory: string;
}

export interface Cell {
  name: string;
  /** whether it is tried on servers that forward nothing: one of a kind is enough there, since some wait for an answer */
  always?: true;
  /** @throws Error that says why not */
  run(trial: Trial): Promise<void>;
}

// More than the window of any of these servers, in either direction.
const PAYLOAD = Buffer.concat([...pseudoRandom(2_500_000)]);
const SILENCE_MS = 10_000;

/** One end of something that carries bytes both ways: a socket, or a program's stdin and stdout. */
export interface Ends {
  input: Writable;
  output: Readable;
}

/** Sends that much through it, and an end behind it where that is asked for; all must come back, and then the end. */
export async function comesBack({ input, output }: Ends, { ends = false } = {}): Promise<void> {
  const silence = setTimeout(() => output.destroy(new Error("nothing came for 10 s")), SILENCE_MS);
  let missing = PAYLOAD.length;
  input.on("error", () => undefined); // what becomes of it is seen where it is read
  try {
    input.write(PAYLOAD);
    if (ends) input.end();
    for await (const chunk of output.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      silence.refresh();
      const from = PAYLOAD.length - missing;
      if (!PAYLOAD.subarray(from, from + chunk.length).equals(chunk))
        throw new Error("other bytes came back");
      missing -= chunk.length;
      if (missing === 0 && !ends) return;
    }
  } catch (error) {
    if (missing === 0) throw new Error("all came back, and then no end", { cause: error });
    throw error;
  } finally {
    clearTimeout(silence);
    input.destroy();
    output.destroy();
  }
  if (missing === PAYLOAD.length) throw new Error("the connection ended without a byte");
  if (missing > 0) throw new Error("the connection ended before all had come back");
}

const said = (text: string): string => text.trim().replace(/^tunctl: /, "");

/** A forward whose command must succeed; gives what it printed. */
async function laid(client: Client, flag: Flag, spec: string): Promise<string> {
  const { code, stdout, stderr } = await client.forward(flag, spec);
  if (code !== 0) throw new Error(said(stderr) || said(stdout) || `exit code ${code}`);
  return stdout.trim();
}

async function through(dialled: Promise<Socket>, how?: { ends: boolean }): Promise<void> {
  const socket = await dialled;
  await comesBack({ input: socket, output: socket }, how);
}

async function bySocks(port: number, to: number): Promise<Socket> {
  const socket = await dialLoopback(port);
  socket.setTimeout(SILENCE_MS, () => socket.destroy());
  socket.write(socks5NameRequest("localhost", to));
  const reply = await socks5Reply(socket);
  if (reply === 0) return socket;
  socket.destroy();
  throw new Error(reply === undefined ? "the connection ended without a byte" : `SOCKS says ${reply}`);
}

let paths = 0;
const freshPath = ({ directory }: Trial): string => join(directory, `s${paths++}`);
const tcp = ({ far }: Trial): string => `127.0.0.1:${far.tcp.port}`;

/** Takes a forward away again, and sees that it is: whoever says that it is must not leave it listening. */
async function cancelled(client: Client, flag: Flag, spec: string): Promise<void> {
  const { code, stdout, stderr } = await client.cancel(flag, spec);
  const port = Number(/^\d+/.exec(spec)?.[0]);
  const isGone = await eventually(() => refuses(port), { deadlineMs: 2000 }).catch(() => false);
  if (isGone && code === 0) return;
  const words = said(stderr) || said(stdout);
  if (isGone) throw new Error(words || `exit code ${code}`);
  throw new Error(words === "" ? "" : `${words} (it listens on)`);
}

export const cells: readonly Cell[] = [
  {
    name: "check",
    always: true,
    run: async ({ client }) => {
      const { code, stderr } = await client.check();
      if (code !== 0) throw new Error(said(stderr));
    },
  },
  {
    name: "-L port:host:port",
    always: true,
    run: async (trial) => {
      const port = await freePort();
      await laid(trial.client, "-L", `${port}:${tcp(trial)}`);
      await through(dialLoopback(port));
    },
  },
  {
    name: "-L port:/path",
    run: async (trial) => {
      const port = await freePort();
      await laid(trial.client, "-L", `${port}:${trial.far.unix.host}`);
      await through(dialLoopback(port));
    },
  },
  {
    name: "-L /path:host:port",
    run: async (trial) => {
      const path = freshPath(trial);
      await laid(trial.client, "-L", `${path}:${tcp(trial)}`);
      await through(dialPath(path));
    },
  },
  {
    name: "an end behind the bytes",
    run: async (trial) => {
      const port = await freePort();
      await laid(trial.client, "-L", `${port}:${tcp(trial)}`);
      await through(dialLoopback(port), { ends: true });
    },
  },
  {
    name: "-D port",
    run: async ({ client, far }) => {
      const port = await freePort();
      await laid(client, "-D", String(port));
      await through(bySocks(port, far.tcp.port));
    },
  },
  {
    name: "-R port:host:port",
    always: true,
    run: async (trial) => {
      const port = await freePort();
      await laid(trial.client, "-R", `${port}:${tcp(trial)}`);
      await through(dialLoopback(port));
    },
  },
  {
    name: "-R 0:host:port",
    run: async (trial) => {
      const printed = await laid(trial.client, "-R", `0:${tcp(trial)}`);
      const port = Number(printed);
      if (!(port > 0)) throw new Error(`no port was told: '${printed}'`);
      await through(dialLoopback(port));
    },
  },
  {
    name: "-R port:/path",
    run: async (trial) => {
      const port = await freePort();
      await laid(trial.client, "-R", `${port}:${trial.far.unix.host}`);
      await through(dialLoopback(port));
    },
  },
  {
    name: "-R /path:host:port",
    run: async (trial) => {
      const path = freshPath(trial);
      await laid(trial.client, "-R", `${path}:${tcp(trial)}`);
      await through(dialPath(path));
    },
  },
  {
    name: "-R port (SOCKS)",
    run: async ({ client, far }) => {
      const port = await freePort();
      await laid(client, "-R", String(port));
      await through(bySocks(port, far.tcp.port));
    },
  },
  {
    name: "-W host:port",
    always: true,
    run: async (trial) => {
      const child = trial.client.stdio(tcp(trial));
      let words = "";
      child.stderr.on("data", (chunk: Buffer) => (words += chunk.toString()));
      try {
        await comesBack({ input: child.stdin, output: child.stdout });
      } catch (error) {
        await eventually(() => child.exitCode !== null).catch(() => false);
        throw words === "" ? error : new Error(said(words), { cause: error });
      } finally {
        child.kill("SIGKILL");
      }
    },
  },
  {
    name: "cancel -L",
    run: async (trial) => {
      const spec = `${await freePort()}:${tcp(trial)}`;
      await laid(trial.client, "-L", spec);
      await cancelled(trial.client, "-L", spec);
    },
  },
  {
    name: "cancel -R",
    run: async (trial) => {
      const spec = `${await freePort()}:${tcp(trial)}`;
      await laid(trial.client, "-R", spec);
      await cancelled(trial.client, "-R", spec);
    },
  },
];
