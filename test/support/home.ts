// A place that several daemons have one after the other, as one that is restarted has its own.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { statesIn } from "../../daemon/state-file.ts";
import type { Forward, Master } from "../../shared/records.ts";
import { startTund, type Tund } from "./daemon.ts";
import { tempDir } from "./temp-dir.ts";

/** A daemon, and what it says of itself. */
export interface Inhabitant extends Tund {
  /** Runs tunctl, which must succeed and say nothing on stderr; gives its stdout. */
  ok(...args: string[]): Promise<string>;
  forwards(): Promise<Forward[]>;
  masters(): Promise<Master[]>;
}

export interface Home {
  /** path of the state file */
  state: string;
  /** the last state in it */
  saved: () => { version: number; hosts: Record<string, unknown>[] };
  start: (env?: Readonly<Record<string, string>>) => Promise<Inhabitant>;
}

/** Makes one for the running test; `env` is every daemon's. They are killed, and it is removed, when the test is over. */
export async function startHome(env: Readonly<Record<string, string>>): Promise<Home> {
  const directory = await tempDir();
  const started: Tund[] = [];
  onTestFinished(async () => {
    for (const tund of started) await tund.stop("SIGKILL");
    await directory.remove();
  });
  const state = join(directory.path, "state", "state.json");
  return {
    state,
    saved: () => JSON.parse(statesIn(readFileSync(state, "utf8")).at(-1) ?? "") as ReturnType<Home["saved"]>,
    start: async (more = {}) => {
      const tund = await startTund({ home: directory.path, env: { ...env, ...more } });
      started.push(tund);
      return inhabitant(tund);
    },
  };
}

function inhabitant(tund: Tund): Inhabitant {
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await tund.tunctl(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  };
  return {
    ...tund,
    ok,
    forwards: async () => (JSON.parse(await ok("list", "--json")) as { forwards: Forward[] }).forwards,
    masters: async () => (JSON.parse(await ok("status", "--json")) as { masters: Master[] }).masters,
  };
}
