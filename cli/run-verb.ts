// argv → verb → exit code.
import { TundError } from "../shared/errors.ts";
import { version as own } from "../shared/version.ts";
import { type Given, has, type Option, readArguments, usageError } from "./args.ts";
import type { Client } from "./client.ts";
import type { Command, Context, Invocation } from "./command.ts";
import type { ControlSocket } from "./control-socket.ts";
import { detail, fail, refuse, warn } from "./fail.ts";
import * as globals from "./global-options.ts";
import { commandNamed, shortHelp } from "./help-text.ts";
import { waitSeconds } from "./socket.ts";

/** What a command line asks for. */
export interface Request {
  command: Command;
  given: readonly Given[];
  positionals: readonly string[];
}

/** How a daemon is spoken to. */
export interface Speaking {
  /** whether a verb does nothing else while it asks */
  blocks: boolean;
  /** where the daemon is; once it answers, if that is to be waited for */
  daemonOf: (
    context: Context,
    given: readonly Given[],
    warn: (line: string) => unknown,
  ) => ControlSocket | Promise<ControlSocket>;
}

/**
 * Runs one command line (without node and the script) of a verb.
 * @param verbs those that it can be, and `help`
 * @returns the exit code; never throws
 */
export const runVerb = (
  argv: readonly string[],
  context: Context,
  verbs: readonly Command[],
  speaking: Speaking,
): Promise<number> => runRequest(() => read(argv, verbs), context, verbs, speaking);

/** Runs what `requested` gives; undefined where there is no verb. Gives the exit code; never throws. */
export async function runRequest(
  requested: () => Request | undefined,
  context: Context,
  verbs: readonly Command[],
  speaking: Speaking,
): Promise<number> {
  let request: Request | undefined;
  try {
    request = requested();
  } catch (error) {
    return fail(context, error);
  }
  if (request === undefined) return refuse(context, shortHelp(verbs));
  return perform(request, context, verbs, speaking);
}

// Gives undefined when there is no verb.
function read(argv: readonly string[], verbs: readonly Command[]): Request | undefined {
  const at = verbAt(argv);
  const before = readArguments(
    argv.slice(0, at),
    [...globals.globalOptions, globals.version],
    "a verb's own options come after it: see 'tunctl help'",
  );
  const name = argv[at] ?? nameInPlace(before.given);
  if (name === undefined) {
    if (before.problem !== undefined) throw before.problem;
    return undefined;
  }
  const command = commandNamed(verbs, name);
  const after = readFor(command, argv.slice(at + 1));
  const given = [...before.given, ...after.given];
  // Help goes before complaints: it may be what tells them right from wrong.
  if (has(given, globals.help)) return helpOn(argv[at], given, verbs);
  const problem = before.problem ?? after.problem;
  if (problem !== undefined) throw problem;
  return { command, given, positionals: after.positionals };
}

/** Reads what follows a verb: its own options, the global ones, and `more`. */
export const readFor = ({ name, options }: Command, args: readonly string[], more: readonly Option[] = []) =>
  readArguments(args, [...globals.globalOptions, ...options, ...more], `see 'tunctl help ${name}'`);

// What follows the verb has options of its own, so this reading counts only as far as the verb.
function verbAt(argv: readonly string[]): number {
  const { firstPositional } = readArguments(argv, globals.globalOptions, "");
  return firstPositional === -1 ? argv.length : firstPositional;
}

function nameInPlace(given: readonly Given[]): string | undefined {
  if (has(given, globals.help)) return "help";
  return has(given, globals.version) ? "version" : undefined;
}

/** What asks for the help on a verb, or on tunctl. */
export const helpOn = (
  name: string | undefined,
  given: readonly Given[],
  verbs: readonly Command[],
): Request => ({
  command: commandNamed(verbs, "help"),
  given,
  positionals: name === undefined ? [] : [name],
});

async function perform(
  { command, given, positionals }: Request,
  context: Context,
  verbs: readonly Command[],
  { blocks, daemonOf }: Speaking,
): Promise<number> {
  const link: { client?: Client; daemon?: ControlSocket | Promise<ControlSocket> } = {};
  const invocation: Invocation = {
    context,
    given,
    positionals,
    json: has(given, globals.json),
    quiet: has(given, globals.quiet),
    verbose: has(given, globals.verbose),
    commands: verbs,
    daemon: async () => (link.daemon ??= daemonOf(context, given, (line) => warn(invocation, line))),
    async call(verb, input) {
      link.client ??= await open(invocation, blocks);
      return link.client.call(verb, input);
    },
  };
  let code: number | void;
  try {
    refuseMisuse(command, invocation);
    code = await command.run(invocation);
  } catch (error) {
    return fail(context, explained(error, difference(link.client)), invocation.verbose);
  }
  const different = difference(link.client);
  if (different !== undefined) warn(invocation, `${different}: restart tund, or update tunctl`);
  return code ?? 0;
}

// Loaded here, since `version`, `help` and mistakes need none.
async function open(invocation: Invocation, blocks: boolean): Promise<Client> {
  const { Client } = await import("./client.ts");
  const control = await invocation.daemon();
  detail(invocation, `speaking to tund on ${control.path}`);
  return new Client(control, { blocks });
}

function refuseMisuse({ name, most }: Command, { given, positionals, quiet, verbose }: Invocation): void {
  waitSeconds(given);
  if (quiet && verbose) throw usageError("-q and -v exclude each other");
  const tooMany = positionals[most];
  if (tooMany !== undefined) throw usageError(`unexpected argument '${tooMany}' (see 'tunctl help ${name}')`);
}

function difference(client: Client | undefined): string | undefined {
  const theirs = client?.daemonVersion;
  return theirs === undefined || theirs === own ? undefined : `tund is ${theirs}, this tunctl ${own}`;
}

// A failure is one line, and two versions that differ may be the reason.
function explained(error: unknown, different: string | undefined): unknown {
  if (different === undefined || !(error instanceof TundError)) return error;
  return new TundError(error.code, `${error.message} (${different})`, { cause: error });
}
