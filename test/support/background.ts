import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A program that runs beside the test, what it says, and how it ends. */
export interface Background {
  pid: number;
  /** stdout and stderr so far, as they came */
  log(): string;
  /** whether it has ended */
  ended(): boolean;
  /** settles when it ends; never rejects */
  end: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts a program. The starter ends it; should the test process go away first, it is killed with it.
 * `onOutput` hears what it says as it comes.
 * @throws Error when it could not be started
 */
export async function startInBackground(
  program: string,
  args: readonly string[],
  {
    onOutput,
    ...options
  }: { env: NodeJS.ProcessEnv; cwd: string; argv0?: string; onOutput?: (text: string) => void },
): Promise<Background> {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  const hear = (chunk: Buffer) => {
    chunks.push(chunk);
    onOutput?.(chunk.toString());
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  const end = ended(child);
  await once(child, "spawn");
  const { pid } = child;
  if (pid === undefined) throw new Error(`${program} has no process id`);
  return {
    pid,
    log: () => Buffer.concat(chunks).toString(),
    ended: () => child.exitCode !== null || child.signalCode !== null,
    end,
    kill: (signal) => void child.kill(signal),
  };
}

function ended(child: ChildProcess): Background["end"] {
  const killWithUs = () => void child.kill("SIGKILL");
  process.once("exit", killWithUs);
  return new Promise((resolve) =>
    child.once("exit", (code, signal) => {
      process.off("exit", killWithUs);
      resolve({ code, signal });
    }),
  );
}
