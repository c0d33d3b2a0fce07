// Arguments → options and positionals, as POSIX utilities read them: clusters, attached values, `--`, any order.
import { parseArgs } from "node:util";
import { TundError } from "../shared/errors.ts";
import { nearest } from "./nearest.ts";

/** What a word can be, for completion: one of these words, or a thing that is looked up. A record is a master or a forward. */
export type Kind = readonly string[] | "files" | "hosts" | "masters" | "records" | "verbs";

/** An option as plain data: a verb lists those that it takes and asks for them by the object itself. */
export interface Option {
  /** One letter. */
  readonly short?: string;
  readonly long?: string;
  /** What its value is called in the help. An option without takes none. */
  readonly value?: string;
  /** What its value can be, as far as that can be known. */
  readonly takes?: Kind;
  readonly help: string;
}

/** An option as it was given; `value` is empty for an option that takes none. */
export interface Given {
  readonly option: Option;
  readonly value: string;
}

export interface Arguments {
  /** In the order of the command line. */
  readonly given: readonly Given[];
  readonly positionals: readonly string[];
  /** Where the first positional stood, or -1. */
  readonly firstPositional: number;
  /** The first thing that is wrong, not thrown: `--help` goes before it. */
  readonly problem: TundError | undefined;
}

/** A mistake of whoever typed the command: exit code 2. */
export const usageError = (message: string): TundError => new TundError("INVALID_REQUEST", message);

/** Tells whether an option was given. */
export const has = (given: readonly Given[], option: Option): boolean =>
  given.some((one) => one.option === option);

/** Every value that an option was given, in order. */
export const valuesOf = (given: readonly Given[], option: Option): string[] =>
  given.filter((one) => one.option === option).map((one) => one.value);

/** The last value of an option that takes whole seconds, if it was given. @throws TundError INVALID_REQUEST */
export function secondsOf(
  given: readonly Given[],
  option: Option,
  { least, most }: { least: number; most: number },
): number | undefined {
  const text = valuesOf(given, option).at(-1);
  if (text === undefined) return undefined;
  const seconds = /^[0-9]{1,6}$/.test(text) ? Number(text) : NaN;
  if (seconds >= least && seconds <= most) return seconds;
  throw usageError(`--${option.long} takes whole seconds, ${least} to ${most}: '${text}'`);
}

/** An option's names as the help shows them, the short one first. */
export const namesOf = (option: Option): string[] => [
  ...(option.short === undefined ? [] : [`-${option.short}`]),
  ...(option.long === undefined ? [] : [`--${option.long}`]),
];

/** Reads arguments by a list of options. What is wrong comes back as `problem`, whose message ends with `hint`. */
export function readArguments(args: readonly string[], options: readonly Option[], hint: string): Arguments {
  const given: Given[] = [];
  const positionals: string[] = [];
  const problems: string[] = [];
  let firstPositional = -1;
  // strict: false, since its own complaints quote no nearest name and refuse values that begin with '-'.
  const { tokens } = parseArgs({
    args: [...args],
    options: configOf(options),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (positionals.push(token.value) === 1) firstPositional = token.index;
    } else if (token.kind === "option") {
      const option = options.find((one) => namesOf(one).includes(token.rawName));
      const problem = problemOf(option, token, options);
      if (problem !== undefined) problems.push(problem);
      if (option !== undefined) given.push({ option, value: token.value ?? "" });
    }
  }
  if (positionals.includes("")) problems.push("an argument is empty");
  const problem = problems[0] === undefined ? undefined : usageError(`${problems[0]} (${hint})`);
  return { given, positionals, firstPositional, problem };
}

type ParserConfig = Record<string, { type: "string" | "boolean"; short?: string }>;

function configOf(options: readonly Option[]): ParserConfig {
  const config: ParserConfig = {};
  for (const { short, long, value } of options) {
    const type = value === undefined ? "boolean" : "string";
    // An option with a letter alone goes under that letter, where parseArgs looks for `-L`.
    if (long === undefined) config[short ?? ""] = { type };
    else config[long] = short === undefined ? { type } : { type, short };
  }
  return config;
}

function problemOf(
  option: Option | undefined,
  token: { readonly rawName: string; readonly value?: string | undefined },
  options: readonly Option[],
): string | undefined {
  const { rawName, value } = token;
  if (option === undefined) {
    const near = nearest(rawName, options.flatMap(namesOf));
    return `unknown option '${rawName}'${near === undefined ? "" : `: did you mean '${near}'?`}`;
  }
  if (option.value === undefined) return value === undefined ? undefined : `option ${rawName} takes no value`;
  return value ? undefined : `option ${rawName} needs a value, ${option.value}`;
}
