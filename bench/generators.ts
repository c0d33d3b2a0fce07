// The programs that make the load, from outside: C where there is a compiler, TypeScript where there is none.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { run } from "../test/support/run.ts";
import { tempDir } from "../test/support/temp-dir.ts";

/** Where the far load generator listens, or the near ends of forwards that lead there. */
export interface FarPorts {
  source: number;
  sink: number;
  echo: number;
}

/** What a load measured: figures by their names. */
export type Figures = Record<string, number>;

/** How long a load goes on before it counts, and then how long it counts. */
export interface Duration {
  warmMs: number;
  runMs: number;
}

/** A load that stays: its connections are open until it is let go. */
export interface Held {
  figures: Figures;
  release: () => Promise<void>;
}

/** Each load but those that are held is a process of its own that ends by itself. All throw Error with what went wrong. */
export interface Generators {
  /** what they are made of, for the report */
  kind: string;
  far: FarPorts;
  /** `mibPerSecond`, and `mib` in all. Uploads are counted at the far end, in blocks of `blockKib` */
  flow(
    way: "down" | "up",
    port: number,
    how: Duration & { streams?: number; blockKib?: number },
  ): Promise<Figures>;
  /** round trips of 64 bytes, written in `pieces`: `p50` and `p99` in microseconds, and their `count` */
  trips(port: number, how: Duration & { pieces?: number }): Promise<Figures>;
  /** `perSecond`: opened, a byte there and back, closed; `width` at a time; by SOCKS to a destination if one is given */
  connections(port: number, how: Duration & { width: number; socksTo?: number }): Promise<Figures>;
  /** `seconds` until as many connections, opened at once, have all carried a byte there and back, or a minute is over; how many were `served` */
  hold(port: number, count: number): Promise<Held>;
  /** connections that are never read */
  stall(port: number, count: number): Promise<Held>;
  /** A far link to a port of this machine: gives its own. 0 MiB/s: as much as comes */
  startLine(
    target: number,
    roundTripMs: number,
    mibPerSecond: number,
  ): Promise<{ port: number; stop(): Promise<void> }>;
  stop(): Promise<void>;
}

interface Programs {
  kind: string;
  far: readonly string[];
  near: readonly string[];
  line: readonly string[];
  remove: () => Promise<void>;
}

const interpreted = (name: string): string[] => [
  process.execPath,
  join(import.meta.dirname, "../scripts/run-ts.mjs"),
  join(import.meta.dirname, "load", name),
];

async function programs(): Promise<Programs> {
  const directory = await tempDir();
  const flags = "-std=gnu11 -O2 -Wall -Wextra -pthread".split(" ");
  const compile = async (name: string): Promise<string> => {
    const program = join(directory.path, name);
    const source = join(import.meta.dirname, "load", `${name}.c`);
    const { code, stderr } = await run(process.env["CC"] ?? "cc", [...flags, "-o", program, source]);
    if (code !== 0) throw new Error(stderr);
    return program;
  };
  try {
    const [far, near, line] = await Promise.all([compile("far"), compile("near"), compile("line")]);
    return { kind: "C", far: [far], near: [near], line: [line], remove: () => directory.remove() };
  } catch (error) {
    const why = String(error).split("\n")[0];
    console.error(
      `load generators: TypeScript, since none could be compiled (${why}); they take more of the machine`,
    );
    return {
      kind: "TypeScript",
      far: interpreted("far.ts"),
      near: interpreted("near.ts"),
      line: interpreted("line.ts"),
      remove: () => directory.remove(),
    };
  }
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

function start([program = "", ...args]: readonly string[], more: readonly number[] = []): Child {
  return spawn(program, [...args, ...more.map(String)], { stdio: ["pipe", "pipe", "inherit"] });
}

/** The line that a child prints. @throws Error when it ends without one */
async function answerOf<T>(child: Child, what: string): Promise<T> {
  let said = "";
  const ended = once(child, "close").then(([code]) => {
    throw new Error(`${what} failed (exit ${code})`);
  });
  ended.catch(() => {});
  const line = new Promise<string>((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.endsWith("\n")) resolve(said);
    });
  });
  return JSON.parse(await Promise.race([line, ended])) as T;
}

/** They end when their stdin does: should this process go away, so do they. */
async function end(child: Child): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.stdin.end();
  await gone;
}

/** Compiles and starts what the forwards lead to. Who asks for it stops it. @throws Error when it does not start */
export async function startGenerators(): Promise<Generators> {
  const { kind, far: farProgram, near, line, remove } = await programs();
  const farChild = start(farProgram);
  const far = await answerOf<FarPorts>(farChild, "the far load generator");
  const begin = async (load: string, ...args: number[]): Promise<Held> => {
    const child = start([...near, load], args);
    return { figures: await answerOf<Figures>(child, load), release: () => end(child) };
  };
  const toEnd = async (load: string, ...args: number[]): Promise<Figures> => {
    const { figures, release } = await begin(load, ...args);
    await release();
    return figures;
  };
  return {
    kind,
    far,
    flow: (way, port, { warmMs, runMs, streams = 1, blockKib = 2048 }) =>
      toEnd(way, port, streams, warmMs, runMs, blockKib),
    trips: (port, { warmMs, runMs, pieces = 1 }) => toEnd("trips", port, pieces, warmMs, runMs),
    connections: (port, { warmMs, runMs, width, socksTo = 0 }) =>
      toEnd("connections", port, width, warmMs, runMs, socksTo),
    hold: (port, count) => begin("hold", port, count),
    stall: (port, count) => begin("stall", port, count),
    startLine: async (...args) => {
      const child = start(line, args);
      const { port } = await answerOf<{ port: number }>(child, "the far link");
      return { port, stop: () => end(child) };
    },
    stop: async () => {
      await end(farChild);
      await remove();
    },
  };
}
