// The built tund in a world of its own, and the built tunctl to speak to it.
import { existsSync, readdirSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Background, startInBackground } from "./background.ts";
import { attachment } from "./bystander/in-mode.ts";
import { eventually } from "./eventually.ts";
import { killDescendants } from "./process-tree.ts";
import { type Outcome, run, type RunOptions } from "./run.ts";
import { type AtTerminal, startAtTerminal } from "./terminal.ts";
import { tempDir } from "./temp-dir.ts";

const program = (name: string): string => fileURLToPath(new URL(`../../dist/${name}.cjs`, import.meta.url));

function built(name: string): string {
  const path = program(name);
  if (!existsSync(path)) throw new Error(`${path} is not there: run 'node scripts/build.mjs' first`);
  return path;
}

export interface TundOptions {
  /** added to its environment; `undefined` takes a variable away. TUND_SSH_CONFIG is an empty file unless given here */
  env?: Readonly<Record<string, string | undefined>>;
  /** a directory that an earlier daemon had, to find its state again. Who gives one removes it */
  home?: string;
  /** what starts a program in another network; its control socket is reached by its path all the same */
  within?: readonly string[];
  /** how long it may take until it answers, in milliseconds */
  deadlineMs?: number;
  /** what Node is to load before it */
  nodeArgs?: readonly string[];
}

export interface Tund {
  /** path of its control socket */
  socket: string;
  /** its HOME, with its state, its runtime directory and its control socket in it */
  home: string;
  pid: number;
  /** all it has said */
  log(): string;
  /** Runs tunctl against it, in its environment; `env` is added to that. */
  tunctl(
    args: readonly string[],
    options?: Omit<RunOptions, "env"> & { env?: Readonly<Record<string, string | undefined>> },
  ): Promise<Outcome>;
  /** Starts tunctl against it at a terminal of its own. */
  atTerminal(args: readonly string[]): AtTerminal;
  /** Sends it a signal (SIGTERM) and waits for its end. `signal` is what ended it, if one did. */
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** how many descriptors it has open (Linux) */
  fds(): number;
}

/**
 * Starts a daemon that shares nothing with the user's own. Callers stop it in `onTestFinished` or `afterAll`; a second
 * stop is no error.
 * @throws Error with its log when it does not answer in time, and when it was not built
 */
export async function startTund(options: TundOptions = {}): Promise<Tund> {
  const tund = built("tund");
  const ours = options.home === undefined ? await tempDir() : null;
  const home = ours?.path ?? options.home ?? "";
  const env = await environment(home, options.env ?? {});
  const socket = env["TUND_SOCKET"] ?? "";
  const beside = await attachment(options.within !== undefined || options.nodeArgs !== undefined);
  const node = [process.execPath, ...(options.nodeArgs ?? beside.argv), tund];
  const [command = "", ...argv] = [...(options.within ?? []), ...node];
  const daemon = await startInBackground(command, argv, { env: { ...env, ...beside.env }, cwd: home });
  const end = async (signal: NodeJS.Signals) => {
    await beside.ending();
    const result = await ended(daemon, signal);
    await ours?.remove();
    return result;
  };
  try {
    await answers(daemon, socket, beside.patience * (options.deadlineMs ?? START_DEADLINE_MS));
  } catch (error) {
    await end("SIGKILL");
    throw new Error(`tund did not come up: ${daemon.log()}`, { cause: error });
  }
  await beside.started(socket);
  return {
    socket,
    home,
    pid: daemon.pid,
    log: () => beside.hide(daemon.log()),
    tunctl: async (args, { env: more = {}, ...rest } = {}) => {
      const runOptions = { cwd: home, ...rest, env: { ...env, ...more } };
      const outcome = await run(process.execPath, [program("tunctl"), ...args], runOptions);
      return { ...outcome, stdout: beside.hide(outcome.stdout) };
    },
    atTerminal: (args) => startAtTerminal(process.execPath, [program("tunctl"), ...args], env),
    stop: (signal = "SIGTERM") => end(signal),
    fds: () => readdirSync(`/proc/${daemon.pid}/fd`).length,
  };
}

async function environment(home: string, more: TundOptions["env"]): Promise<NodeJS.ProcessEnv> {
  const config = join(home, "ssh_config");
  await mkdir(join(home, "run"), { mode: 0o700, recursive: true });
  await writeFile(config, "", { flag: "a" }); // an earlier one is kept
  // Built up rather than cut down: nothing of the user's (SSH_AUTH_SOCK, SSH_ASKPASS, XDG_*, TUND_*) gets in.
  return {
    PATH: process.env["PATH"],
    LANG: "C.UTF-8",
    HOME: home,
    XDG_RUNTIME_DIR: join(home, "run"),
    TUND_SOCKET: join(home, "run", "tund", "tund.sock"),
    TUND_STATE_DIR: join(home, "state"),
    TUND_SSH_CONFIG: config,
    TUND_LOG_FORMAT: "json",
    ...more,
  };
}

async function answers(daemon: Background, socket: string, deadlineMs: number): Promise<void> {
  await eventually(
    async () => {
      // Ended means never: there is no use in waiting for the deadline.
      if (!daemon.ended()) await status(socket);
    },
    { deadlineMs },
  );
  if (daemon.ended()) throw new Error("it ended");
}

function status(socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: "/v1/status", agent: false }, (answer) => {
      answer.resume();
      answer.once("error", reject);
      answer.once("end", () =>
        answer.statusCode === 200 ? resolve() : reject(new Error(`status ${answer.statusCode}`)),
      );
    });
    asked.once("error", reject);
    asked.end();
  });
}

const START_DEADLINE_MS = 15_000;
const STOP_DEADLINE_MS = 15_000;

/** A daemon that does not heed its signal is killed, so that no test leaves one behind; the result then shows it. */
async function ended(daemon: Background, signal: NodeJS.Signals): ReturnType<Tund["stop"]> {
  if (daemon.ended()) return daemon.end;
  daemon.kill(signal);
  const timer = setTimeout(() => {
    killDescendants(daemon.pid);
    daemon.kill("SIGKILL");
  }, STOP_DEADLINE_MS);
  try {
    return await daemon.end;
  } finally {
    clearTimeout(timer);
  }
}
