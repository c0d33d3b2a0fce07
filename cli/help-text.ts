// Help, from what the verbs say of themselves.
import { namesOf, type Option, usageError } from "./args.ts";
import type { Command } from "./command.ts";
import { globalOptions, version } from "./global-options.ts";
import { nearest } from "./nearest.ts";

const synopsis = "Usage: tunctl [--socket PATH] [--json] [-q | -v] VERB ...";

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
  synopsis,
  `Verbs: ${commands.map((command) => command.name).join(", ")}`,
  "See 'tunctl help' for what they do.",
];

/** What `tunctl help` shows. */
export const overview = (commands: readonly Command[]): string[] => [
  synopsis,
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
  "  tunctl -O check|forward|cancel|stop|exit [options] HOST",
  "    ssh's options, texts and exit codes (255 for a failure). Never connects. 'cancel' exits with 0 whatever",
  "    comes of it, as with ssh: read its stderr, or use 'tunctl cancel'. With -S PATH, the master at PATH.",
  "  tunctl -M -S PATH [-f] [-N] [options] HOST",
  "    a master as ssh -M makes it: it ends with its link, or with the process that holds it",
  "  tunctl -W DEST [options] [HOST]",
  "    the same as stdio",
  "",
  "'tunctl help VERB' says more. HOST may be left out when the daemon has only one.",
  "Exit codes: 0 done, 1 it failed, 2 usage, 3 the daemon is not reachable, 4 no such host or forward,",
  "5 address in use, 6 host key, 7 authentication, 8 timed out.",
];

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
