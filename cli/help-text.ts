// Help, from what the verbs say of themselves.
import { namesOf, type Option, usageError } from "./args.ts";
import type { Command } from "./command.ts";
import { globalOptions, version } from "./global-options.ts";
import { nearest } from "./nearest.ts";
import { controlCommands } from "./ssh-spelling.ts";

/** What follows the program's name. */
export const synopsis = "[--socket PATH] [--wait SECONDS] [--json] [-q | -v] VERB ...";
const usageLine = `Usage: tunctl ${synopsis}`;

/** The command lines that are ssh's own. */
export const sshSpellings: readonly { readonly usage: string; readonly help: string }[] = [
  {
    usage: `-O ${controlCommands.join("|")} [options] HOST`,
    help: `ssh's options, texts and exit codes (255 for a failure). Never connects. 'cancel' exits with 0 whatever
comes of it, as with ssh: read its stderr, or use 'tunctl cancel'. With -S PATH, the master at PATH.`,
  },
  {
    usage: "-M -S PATH [-f] [-N] [options] HOST",
    help: "a master as ssh -M makes it: it ends with its link, or with the process that holds it",
  },
  { usage: "-W DEST [options] [HOST]", help: "the same as stdio" },
];

/** What tunctl exits with, but for ssh's spelling, and what it means. */
export const exitCodes: readonly (readonly [string, string])[] = [
  ["0", "done"],
  ["1", "it failed"],
  ["2", "usage"],
  ["3", "the daemon is not reachable"],
  ["4", "no such host or forward"],
  ["5", "address in use"],
  ["6", "host key"],
  ["7", "authentication"],
  ["8", "timed out"],
];

/**
 * Finds a verb by its name.
 * @throws TundError INVALID_REQUEST that suggests the nearest
 */
export function commandNamed(commands: readonly Command[], name: string): Command {
  const found = commands.find((command) => command.name === name);
  if (found !== undefined) return found;
  const near = nearest(
    name,
    commands.map((command) => command.name),
  );
  throw usageError(
    `unknown verb '${name}': ${near === undefined ? "see 'tunctl help'" : `did you mean '${near}'?`}`,
  );
}

/** A few lines for whoever gave no verb. */
export const shortHelp = (commands: readonly Command[]): string[] => [
  usageLine,
  `Verbs: ${commands.map((command) => command.name).join(", ")}`,
  "See 'tunctl help' for what they do.",
];

/** What `tunctl help` shows. */
export const overview = (commands: readonly Command[]): string[] => [
  usageLine,
  "",
  "Port forwards over SSH connections that the daemon tund keeps.",
  "",
  "Verbs:",
  ...pairs(commands.map(({ name, summary }) => [name, summary])),
  "",
  "Options, before the verb or after:",
  ...pairs([...globalOptions, version].map(described)),
  "",
  "In ssh's own spelling:",
  ...sshSpellings.flatMap(({ usage, help }) => [
    `  tunctl ${usage}`,
    ...help.split("\n").map((line) => `    ${line}`),
  ]),
  "",
  "'tunctl help VERB' says more. HOST may be left out when the daemon has only one.",
  `Exit codes: ${meanings(exitCodes.slice(0, 5))},`,
  `${meanings(exitCodes.slice(5))}.`,
];

const meanings = (codes: typeof exitCodes): string => codes.map((one) => one.join(" ")).join(", ");

/** What `tunctl help VERB` and `tunctl VERB --help` show. */
export const verbHelp = ({ name, summary, usage, options, help }: Command): string[] => [
  `Usage: tunctl ${name} ${usage}`.trimEnd(),
  "",
  `${name}: ${summary}.`,
  "",
  ...(options.length === 0 ? [] : ["Options:", ...pairs(options.map(described)), ""]),
  "Global options:",
  ...pairs(globalOptions.map(described)),
  "",
  ...help.split("\n"),
];

const described = (option: Option): [string, string] => {
  const names = namesOf(option).join(", ");
  return [option.value === undefined ? names : `${names} ${option.value}`, option.help];
};

function pairs(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
