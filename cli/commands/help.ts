import type { Command } from "../command.ts";
import { commandNamed, overview, verbHelp } from "../help-text.ts";
import { print } from "../print.ts";

/** Shows help. */
export const help: Command = {
  name: "help",
  summary: "help on tunctl, or on one verb",
  usage: "[VERB]",
  options: [],
  most: 1,
  takes: ["verbs"],
  help: `Examples:
  tunctl help
  tunctl help forward`,

  run(invocation) {
    const { commands, positionals } = invocation;
    const [verb] = positionals;
    const lines = verb === undefined ? overview(commands) : verbHelp(commandNamed(commands, verb));
    // Help is for people: --json does not change it.
    print({ ...invocation, json: false }, undefined, () => lines);
  },
};
