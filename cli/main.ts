// The only file here that touches `process`.
import { closeSync, openSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { homeDirectory } from "../shared/account.ts";
import { loadNative, type Native, nativeFile } from "../shared/native/load.ts";
import { errnoOf, messageOf, TundError } from "../shared/errors.ts";
import type { Context } from "./command.ts";
import { descriptor } from "./descriptor.ts";
import { fail } from "./fail.ts";
import { quickVerbs } from "./quick-verbs.ts";
import { runVerb } from "./run-verb.ts";
import { controlSocketOf } from "./socket.ts";

// Functions and getters below, since making Node's streams costs time that most verbs need not spend.
const streamOut = () => {
  const { stdout: stream } = process;
  return stream.listenerCount("error") > 0 ? stream : stream.on("error", broken);
};
const stdout = descriptor(1, streamOut, broken);
// There is nobody left to tell that stderr is broken.
const stderr = descriptor(
  2,
  () => process.stderr,
  () => undefined,
);

/** undefined: not looked for yet, which takes a moment and is not always needed. */
const found: { native?: Native | null } = {};

const besideUs = (file: string): string => join(dirname(realpathSync(process.argv[1] ?? "")), file);

function broken(error: unknown): never {
  // Whoever read it (`| head -1`) has seen enough.
  if (errnoOf(error) === "EPIPE") process.exit(0);
  process.exit(fail(context, new TundError("INTERNAL", `cannot write to stdout: ${messageOf(error)}`)));
}

const context: Context = {
  env: process.env,
  // Getters, since a working directory that was removed matters only to who asks for it.
  get cwd() {
    return process.cwd();
  },
  get home() {
    return homeDirectory(process.env["HOME"]);
  },
  platform: process.platform,
  get stdin() {
    return process.stdin;
  },
  stdout,
  rawStdout: {
    write: (bytes) => streamOut().write(bytes),
    onceDrained: (resume) => void streamOut().once("drain", resume),
    // end() alone leaves the descriptor open, and whoever reads it waiting.
    end: () => new Promise((ended) => streamOut().end(() => ended(closeSync(1)))),
  },
  stderr,
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
  get native() {
    found.native ??= loadNative(besideUs(nativeFile(process.platform, process.arch)));
    return found.native;
  },
  stdoutDescriptor: 1,
  get programs() {
    return { node: process.execPath, tund: besideUs("tund.cjs") };
  },
  now: () => Date.now(),
  readServices: () => readFileSync("/etc/services", "utf8"),
};

async function main(argv: readonly string[]): Promise<void> {
  const verbs = quickVerbs(argv);
  if (verbs === undefined) {
    // A file of its own, in which everything is: see scripts/build.mjs.
    const { run } = await import("./run.ts");
    process.exitCode = await run(argv, context);
    return;
  }
  process.exitCode = await runVerb(argv, context, verbs, { blocks: true, daemonOf: controlSocketOf });
  // All is done and said: what Node would still tidy up takes 1.5 ms.
  if (!stdout.isBehind && !stderr.isBehind) process.exit();
}

void main(process.argv.slice(2));
