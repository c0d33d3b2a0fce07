// The verbs that programs run again and again, and that are small: tunctl starts with these alone.
import type { Command } from "./command.ts";
import { check } from "./commands/check.ts";
import { help } from "./commands/help.ts";

const quick: readonly Command[] = [check];

/** The verbs that a command line is run with if it begins with one of these, or undefined. */
export const quickVerbs = ([verb]: readonly string[]): readonly Command[] | undefined =>
  quick.some(({ name }) => name === verb) ? [...quick, help] : undefined;
