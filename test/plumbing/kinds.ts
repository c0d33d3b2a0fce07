// The kinds of forward, each as a pipe: connect() at one end, and the destination's server is at the other.
import type { Socket } from "node:net";
import { join } from "node:path";
import { freePort } from "../support/free-port.ts";
import { socks5NameRequest, socks5Reply, socks5Request } from "../support/socks-client.ts";
import { dialLoopback, dialPath } from "../support/tcp.ts";
import type { Subject } from "./subjects.ts";

/** Where a forward leads. */
export interface Destination {
  /** as a forward's specification has it: `host:port`, or a path */
  destination: string;
  /** the same for a SOCKS client; the path and 0 for a Unix socket */
  host: string;
  port: number;
}

/** Where the forwards of one set lead. */
export interface Destinations<D extends Destination = Destination> {
  tcp: D;
  unix: D;
}

/** Where one forward of a subject accepts. */
export interface Way<D extends Destination = Destination> {
  kind: Kind;
  subject: Subject;
  far: D;
  /** Connects; with SOCKS, the proxy has said yes. Half-open, paused or not yet read. @throws Error */
  connect(): Promise<Socket>;
  /** Connects and says what there is to say before data, and waits for no answer. */
  start(): Promise<Socket>;
}

export interface Kind {
  name: string;
  /** whose address it leads to */
  destination: keyof Destinations;
  /** who has to answer when a connection is opened: the server, or the subject itself */
  opener: "sshd" | "subject";
  socks: boolean;
  /** ssh's flags for a forward to `destination`, and how its bind is dialled once it stands (`port`: what -R 0 got) */
  plan(subject: Subject, destination: string): Promise<{ flags: string[]; dial: Dial; asksPort: boolean }>;
}

type Dial = (port: number) => Promise<Socket>;

const remote = (flags: string[]) => ({
  flags: ["-R", ...flags],
  asksPort: true,
  dial: (port: number) => dialLoopback(port),
});

let paths = 0;
// A path of its own for each forward: OpenSSH leaves them behind.
const freshPath = ({ sshd }: Subject): string => join(sshd.directory, `p${paths++}`);

async function onPort(flag: "-L" | "-D", rest: string) {
  const port = await freePort();
  return { flags: [flag, `127.0.0.1:${port}${rest}`], asksPort: false, dial: () => dialLoopback(port) };
}

function onPath(flag: "-L" | "-R", subject: Subject, destination: string) {
  const path = freshPath(subject);
  return { flags: [flag, `${path}:${destination}`], asksPort: false, dial: () => dialPath(path) };
}

const tcp = { destination: "tcp", socks: false } as const;

export const kinds: readonly Kind[] = [
  {
    ...tcp,
    name: "-L port:host:port",
    opener: "sshd",
    plan: (_, to) => onPort("-L", `:${to}`),
  },
  {
    ...tcp,
    name: "-L /path:host:port",
    opener: "sshd",
    plan: async (subject, to) => onPath("-L", subject, to),
  },
  {
    name: "-L port:/path",
    destination: "unix",
    opener: "sshd",
    socks: false,
    plan: (_, to) => onPort("-L", `:${to}`),
  },
  {
    ...tcp,
    name: "-R port:host:port",
    opener: "subject",
    plan: async (_, to) => remote([`0:${to}`]),
  },
  {
    ...tcp,
    name: "-R /path:host:port",
    opener: "subject",
    plan: async (subject, to) => onPath("-R", subject, to),
  },
  {
    name: "-R port:/path",
    destination: "unix",
    opener: "subject",
    socks: false,
    plan: async (_, to) => remote([`0:${to}`]),
  },
  {
    ...tcp,
    name: "-D port",
    opener: "sshd",
    socks: true,
    plan: () => onPort("-D", ""),
  },
  {
    ...tcp,
    name: "-R port (SOCKS)",
    opener: "subject",
    socks: true,
    plan: async () => remote(["0"]),
  },
];

/** Sets up one forward of every kind in a single command; by their names. @throws Error when one of them cannot be */
export async function layAll<D extends Destination>(
  subject: Subject,
  far: Destinations<D>,
  which: readonly Kind[] = kinds,
): Promise<Map<string, Way<D>>> {
  const planned = [];
  for (const kind of which)
    planned.push({ kind, ...(await kind.plan(subject, far[kind.destination].destination)) });
  const ports = await subject.forward(planned.flatMap(({ flags }) => flags));
  return new Map(
    planned.map(({ kind, dial, asksPort }) => {
      const port = asksPort ? (ports.shift() ?? 0) : 0;
      return [kind.name, wayOf({ kind, subject, far: far[kind.destination] }, () => dial(port))];
    }),
  );
}

function wayOf<D extends Destination>(
  of: { kind: Kind; subject: Subject; far: D },
  dial: () => Promise<Socket>,
): Way<D> {
  const { host, port } = of.far;
  const start = async () => {
    const socket = await dial();
    if (of.kind.socks)
      socket.write(host === "127.0.0.1" ? socks5Request(port) : socks5NameRequest(host, port));
    return socket;
  };
  const connect = async () => {
    const socket = await start();
    if (!of.kind.socks) return socket;
    const code = await socks5Reply(socket);
    if (code !== 0) throw new Error(`SOCKS says ${code ?? "nothing"}`);
    return socket;
  };
  return { ...of, start, connect };
}
