// Where the cursor is on a command line: what can stand there, by the grammar of the verb. Pure.
import { type Given, type Kind, namesOf, type Option, readArguments } from "../args.ts";
import type { Command } from "../command.ts";
import { controlOptions } from "../dash-o.ts";
import { masterOptions } from "../dash-m.ts";
import { globalOptions, socket, version } from "../global-options.ts";
import { control, isDashM, isDashO, isDashW, ownMaster, toward } from "../ssh-spelling.ts";

/** What a part of a command line takes. */
type Grammar = Pick<Command, "options" | "most" | "takes" | "namesStanding">;

/** A command line without the program, and where the cursor is in it. */
export interface Line {
  readonly before: readonly string[];
  /** the word to complete, up to the cursor */
  readonly current: string;
  readonly after: readonly string[];
}

/** What is to be completed. */
export interface Place {
  /** The part of the word that stays: `--for=`, `-L`. */
  readonly prefix: string;
  /** A value of an option, a kind of positional, or the name of one of some options. */
  readonly wanted:
    | { readonly value: Option }
    | { readonly kind: Kind }
    | { readonly names: readonly Option[] };
  /** What else the line says. */
  readonly given: readonly Given[];
  readonly positionals: readonly string[];
  readonly namesStanding: boolean;
}

const nothing: Grammar = { options: [], most: 0 };

/** Finds out what can stand at the cursor. */
export function placeOf({ before, current, after }: Line, verbs: readonly Command[]): Place {
  const { grammar, from } = grammarOf([...before, current], verbs);
  const own = before.slice(from);
  const read = readArguments(own, grammar.options, "");
  const pending = pendingOption(own, read.given);
  // The word at the cursor may be half of anything, so it counts only where an option has to have it.
  const value = pending === undefined ? [] : [current];
  const rest = readArguments([...own, ...value, ...after], grammar.options, "");
  const spoken = readArguments(before.slice(0, from), globalOptions, "");
  const place = {
    given: [...spoken.given, ...rest.given],
    positionals: rest.positionals,
    namesStanding: grammar.namesStanding ?? false,
  };
  if (pending !== undefined)
    return { ...place, prefix: earlierHosts(pending, current), wanted: { value: pending } };
  const isOption = current.startsWith("-") && !own.includes("--");
  const attached = isOption ? attachedOption(current, grammar.options) : undefined;
  if (attached !== undefined) {
    const { option, prefix } = attached;
    const earlier = earlierHosts(option, current.slice(prefix.length));
    return { ...place, prefix: prefix + earlier, wanted: { value: option } };
  }
  const kind = isOption ? undefined : kindAt(grammar, read.positionals.length);
  if (kind !== undefined) return { ...place, prefix: "", wanted: { kind } };
  return { ...place, prefix: "", wanted: { names: unused(grammar.options, place.given) } };
}

/** The grammar, and the word that it begins with: as run.ts decides. */
function grammarOf(words: readonly string[], verbs: readonly Command[]): { grammar: Grammar; from: number } {
  const [first] = words;
  if (words.length === 1 || !verbs.some(({ name }) => name === first)) {
    const spelling = sshSpelling(words, verbs);
    if (spelling !== undefined) return { grammar: spelling, from: 0 };
  }
  const { firstPositional: at } = readArguments(words.slice(0, -1), globalOptions, "");
  if (at === -1) {
    const options = [...globalOptions, version, control, ownMaster, toward];
    return { grammar: { options, most: 1, takes: ["verbs"] }, from: 0 };
  }
  const verb = verbs.find(({ name }) => name === words[at]);
  if (verb === undefined) return { grammar: nothing, from: words.length };
  return { grammar: { ...verb, options: [...verb.options, ...globalOptions] }, from: at + 1 };
}

function sshSpelling(words: readonly string[], verbs: readonly Command[]): Grammar | undefined {
  const takes = ["hosts"] as const;
  if (isDashO(words))
    return { options: [...controlOptions, socket], most: 1, takes, namesStanding: words.includes("cancel") };
  if (isDashM(words)) return { options: [...masterOptions, socket], most: 1, takes };
  const stdio = verbs.find(({ name }) => name === "stdio");
  if (isDashW(words) && stdio !== undefined)
    return { options: [toward, ...stdio.options, ...globalOptions], most: 1, takes };
  return undefined;
}

// An option that needs a value, and has none yet: its value is the word at the cursor.
function pendingOption(words: readonly string[], given: readonly Given[]): Option | undefined {
  const [last, word] = [given.at(-1), words.at(-1) ?? ""];
  if (last === undefined || last.option.value === undefined || last.value !== "") return undefined;
  return /^-[^=]+$/.test(word) ? last.option : undefined;
}

/** An option whose value stands in the same word: `--for=ready`, `-L8080`, `-4L8080`. */
function attachedOption(
  word: string,
  options: readonly Option[],
): { option: Option; prefix: string } | undefined {
  const [long] = /^--[^=]+=/.exec(word) ?? [];
  if (long !== undefined) {
    const option = options.find((one) => one.value !== undefined && `--${one.long}=` === long);
    return option && { option, prefix: long };
  }
  for (let end = 2; end < word.length && !word.startsWith("--"); end++) {
    const option = options.find(({ short }) => short === word[end - 1]);
    if (option?.value !== undefined) return { option, prefix: word.slice(0, end) };
    if (option === undefined) return undefined;
  }
  return undefined;
}

// -J takes several hosts, with commas between them.
const earlierHosts = ({ takes }: Option, value: string): string =>
  takes === "hosts" ? value.slice(0, value.lastIndexOf(",") + 1) : "";

function kindAt({ takes, most }: Grammar, position: number): Kind | undefined {
  return position < most ? (takes?.[position] ?? takes?.at(-1)) : undefined;
}

/** Those that can still be given: one without a value says no more the second time. */
const unused = (options: readonly Option[], given: readonly Given[]): Option[] =>
  options.filter(
    (option) =>
      namesOf(option).length > 0 &&
      (option.value !== undefined || !given.some((one) => one.option === option)),
  );
