import { spawn } from "node:child_process";

/** How a program ended, and all that it said. `code` is null when a signal ended it. */
export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** the whole environment; ours when it is left out */
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** what stands on its stdin; nothing when it is left out */
  input?: string | Uint8Array;
  /** after that many milliseconds it is killed */
  deadlineMs?: number;
}

const text = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString();

/**
 * Runs a program to its end. How it ends is the caller's business: an exit code is no error here.
 * @throws Error when it could not be started, or did not end in time (with what it had said until then)
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { env = process.env, cwd, input = "", deadlineMs = 100_000 } = options;
  return new Promise((resolve, reject) => {
    // In a session of its own: whoever runs the tests in a terminal is not to be asked for passwords in it.
    const child = spawn(program, args, {
      env,
      ...(cwd === undefined ? {} : { cwd }),
      stdio: "pipe",
      detached: true,
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
      // Whoever it started may hold the pipes open: they are not waited for.
      child.stdout.destroy();
      child.stderr.destroy();
    }, deadlineMs);
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on("error", () => {}); // it need not read all of it, nor any
    child.stdin.end(input);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      const said = { stdout: text(stdout), stderr: text(stderr) };
      if (!late) return resolve({ code, signal, ...said });
      const command = [program, ...args].join(" ");
      return reject(new Error(`no end to '${command}' in ${deadlineMs} ms: ${said.stdout}${said.stderr}`));
    });
  });
}
