// argv → verb, or ssh's own spelling → exit code: the whole of tunctl.
import { has, usageError, valuesOf } from "./args.ts";
import type { Context } from "./command.ts";
import * as globals from "./global-options.ts";
import { commandNamed } from "./help-text.ts";
import { helpOn, readFor, type Request, runRequest, runVerb, type Speaking } from "./run-verb.ts";
import { isDashM, isDashO, isDashW, toward } from "./ssh-spelling.ts";
import { verbs } from "./verbs.ts";
import { daemonOf } from "./wait-for-daemon.ts";

const speaking: Speaking = { blocks: false, daemonOf };

/** Runs one command line (without node and the script) in a context. Gives the exit code; never throws. */
export async function run(argv: readonly string[], context: Context): Promise<number> {
  if (argv[0] === "__complete") return answerTab(argv.slice(1), context);
  // A host may have a verb's name, but then ssh's spelling has to begin with an option.
  const isVerb = verbs.some(({ name }) => name === argv[0]);
  if (!isVerb && isDashO(argv)) return runDashO(argv, context);
  if (!isVerb && isDashM(argv)) return runDashM(argv, context);
  if (!isVerb && isDashW(argv)) return runRequest(() => readDashW(argv), context, verbs, speaking);
  return runVerb(argv, context, verbs, speaking);
}

async function answerTab(argv: readonly string[], context: Context): Promise<number> {
  const { complete } = await import("./completion/complete.ts");
  return complete(argv, context, verbs);
}

async function runDashO(argv: readonly string[], context: Context): Promise<number> {
  const { dashO } = await import("./dash-o.ts");
  return dashO(argv, context);
}

async function runDashM(argv: readonly string[], context: Context): Promise<number> {
  const { dashM } = await import("./dash-m.ts");
  return dashM(argv, context);
}

// `-W DEST` stands where it likes; DEST is what the verb takes first.
function readDashW(argv: readonly string[]): Request {
  const command = commandNamed(verbs, "stdio");
  const { given, positionals, problem } = readFor(command, argv, [toward]);
  if (has(given, globals.help)) return helpOn(command.name, given, verbs);
  if (problem !== undefined) throw problem;
  const [destination = "", another] = valuesOf(given, toward);
  if (another !== undefined) throw usageError("-W was given twice");
  return { command, given, positionals: [destination, ...positionals] };
}
