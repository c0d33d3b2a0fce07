// The load generators from outside: starting them, asking them, ending them.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";

/** Where the far load generator listens. */
export interface FarPorts {
  source: number;
  sink: number;
  echo: number;
}

export type Load =
  | { kind: "down" | "up"; port: number; mib: number }
  | { kind: "latency"; port: number; count: number }
  | { kind: "connections"; port: number; count: number; width: number };

/** What a load measured: figures by their names. */
export type Figures = Record<string, number>;

export interface Generators {
  far: FarPorts;
  /** @throws Error if a byte is missing, or it takes more than two minutes */
  measure(load: Load): Promise<Figures>;
  stop(): Promise<void>;
}

const LOAD_MS = 120_000;

function forkLoad(role: "far" | "near"): ChildProcess {
  const runner = resolve(import.meta.dirname, "../scripts/run-ts.mjs");
  return fork(runner, [resolve(import.meta.dirname, "load.ts"), role]);
}

/** The next message of a child. @throws Error if it ends first, or says nothing for too long */
async function nextMessage<T>(child: ChildProcess): Promise<T> {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, AbortSignal.timeout(LOAD_MS)]);
  const ended = once(child, "exit", { signal }).then(() => {
    throw new Error("a load generator ended");
  });
  try {
    const [message] = (await Promise.race([once(child, "message", { signal }), ended])) as [T];
    return message;
  } finally {
    ended.catch(() => {});
    over.abort();
  }
}

/** Starts both generators. Should this process go away, they end by themselves: their channel to it closes. */
export async function startGenerators(): Promise<Generators> {
  const farChild = forkLoad("far");
  const far = await nextMessage<FarPorts>(farChild);
  const near = forkLoad("near");
  return {
    far,
    async measure(load) {
      near.send(load);
      const answer = await nextMessage<{ figures: Figures } | { error: string }>(near);
      if ("error" in answer) throw new Error(answer.error);
      return answer.figures;
    },
    async stop() {
      const children = [near, farChild].filter((child) => child.connected);
      await Promise.all(
        children.map((child) => {
          const gone = once(child, "exit");
          child.disconnect();
          return gone;
        }),
      );
    },
  };
}
