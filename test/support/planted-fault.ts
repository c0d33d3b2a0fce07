// A fault of tund's own, planted from outside: what an unknown bug would be. While its file is there, tund throws when bytes of
// one server come.
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * How it comes: in the turn of the bytes, even if that was a minute after the link came up (nothing of the login is followed then:
 * minutes pass at once), from a promise that nobody waits for, or from a timer, both a little later.
 */
export type Manner = "throw" | "late throw" | "rejection" | "timer";

export interface PlantedFault {
  /** for the daemon's environment */
  env: { NODE_OPTIONS: string };
  arm(): Promise<void>;
  disarm(): Promise<void>;
}

const faults: Readonly<Record<Manner, string>> = {
  throw: `throw new Error("planted");`,
  "late throw": `throw new Error("planted");`,
  rejection: `void (async () => { await new Promise((go) => setTimeout(go, 50)); throw new Error("planted"); })();`,
  timer: `setTimeout(() => { throw new Error("planted"); }, 50);`,
};

const MINUTES_PASS = `const { setTimeout: after } = globalThis;
globalThis.setTimeout = (run, ms, ...rest) => after(run, ms === 60_000 ? 0 : ms, ...rest);`;

/** What is to be loaded with --require. @param port the server's @param armed the file */
export const faultHook = (port: number, manner: Manner, armed: string): string =>
  `const { existsSync } = require("node:fs");
const { Socket } = require("node:net");
const { emit } = Socket.prototype;
${manner === "late throw" ? MINUTES_PASS : ""}
Socket.prototype.emit = function (name, ...rest) {
  if (name === "data" && this.remotePort === ${port} && existsSync(${JSON.stringify(armed)})) { ${faults[manner]} }
  return emit.call(this, name, ...rest);
};
`;

/** Plants it. @param directory for its files */
export async function plantFault(directory: string, port: number, manner: Manner): Promise<PlantedFault> {
  const [hook, armed] = [join(directory, "fault.cjs"), join(directory, "armed")];
  await writeFile(hook, faultHook(port, manner, armed));
  return {
    env: { NODE_OPTIONS: `--require ${hook}` },
    arm: () => writeFile(armed, ""),
    disarm: () => rm(armed, { force: true }),
  };
}
