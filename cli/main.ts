// The only file here that touches `process`.
import { closeSync, openSync, readFileSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { errnoOf, TundError } from "../shared/errors.ts";
import type { Context } from "./command.ts";
import { fail } from "./fail.ts";
import { run } from "./run.ts";

const context: Context = {
  env: process.env,
  // Getters, since a working directory that was removed matters only to who asks for it.
  get cwd() {
    return process.cwd();
  },
  get home() {
    return homedir();
  },
  platform: process.platform,
  // A getter, since making this stream costs time that most verbs need not spend.
  get stdin() {
    return process.stdin;
  },
  stdout: process.stdout,
  rawStdout: {
    write: (bytes) => process.stdout.write(bytes),
    onceDrained: (resume) => void process.stdout.once("drain", resume),
    // end() alone leaves the descriptor open, and whoever reads it waiting.
    end: () => new Promise((ended) => process.stdout.end(() => ended(closeSync(1)))),
  },
  stderr: process.stderr,
  openTerminal: () => {
    try {
      return openSync("/dev/tty", "r+");
    } catch {
      return null;
    }
  },
  pid: process.pid,
  onSignal: (called) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => called(signal));
  },
  get programs() {
    return { node: process.execPath, tund: join(dirname(realpathSync(process.argv[1] ?? "")), "tund.cjs") };
  },
  now: () => Date.now(),
  readServices: () => readFileSync("/etc/services", "utf8"),
};

process.stdout.on("error", (error) => {
  // Whoever read it (`| head -1`) has seen enough.
  if (errnoOf(error) === "EPIPE") process.exit(0);
  process.exit(fail(context, new TundError("INTERNAL", `cannot write to stdout: ${error.message}`)));
});

async function main(): Promise<void> {
  process.exitCode = await run(process.argv.slice(2), context);
}

void main();
