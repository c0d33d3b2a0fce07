// The verbs that programs run again and again: small ones that ask, print the answer, and do nothing beside it. tunctl starts
// with these alone.
import type { Command } from "./command.ts";
import { check } from "./commands/check.ts";
import { help } from "./commands/help.ts";
import { list } from "./commands/list.ts";
import { status } from "./commands/status.ts";

const quick: readonly Command[] = [check, list, status];

/** The verbs that a command line is run with if it begins with one of these, and does not wait for a daemon; or undefined. */
export const quickVerbs = ([verb, ...rest]: readonly string[]): readonly Command[] | undefined =>
  quick.some(({ name }) => name === verb) && !rest.some((word) => word.startsWith("--wait"))
    ? [...quick, help]
    : undefined;
