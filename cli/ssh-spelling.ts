// ssh's own spellings are told from verbs before anything is parsed: `tunctl -O forward ... HOST`, `tunctl -W DEST HOST`.
import type { Option } from "./args.ts";

/** Options of ssh(1) that take no value: an option with one may stand behind them in a cluster (`-qO check`). */
export const FLAGS = "46AaCfGgKkMNnqsTtVvXxYy";

/** What `tunctl -O` can tell a master. */
export const controlCommands = ["check", "forward", "cancel", "stop", "exit"] as const;

/** What makes `tunctl -O COMMAND HOST` of a command line. */
export const control: Option = {
  short: "O",
  value: "COMMAND",
  takes: controlCommands,
  help: "tell a master what to do, as ssh -O",
};

/** What makes `tunctl -M -S PATH HOST` of a command line. */
export const ownMaster: Option = { short: "M", help: "a master as ssh -M makes it" };

/** What makes `tunctl -W DEST HOST` mean `tunctl stdio DEST HOST`. */
export const toward: Option = { short: "W", value: "DEST", help: "the same as stdio" };

const before = (argv: readonly string[]): readonly string[] => {
  const end = argv.indexOf("--");
  return end === -1 ? argv : argv.slice(0, end);
};

const names = (argv: readonly string[], letter: string): boolean =>
  before(argv).some((argument) => new RegExp(`^-[${FLAGS}]*${letter}`).test(argument));

/** Whether this is `tunctl -O ...`, if it does not begin with a verb: no verb has an option of that name. */
export const isDashO = (argv: readonly string[]): boolean => names(argv, "O");

/** Whether this is `tunctl -M ...`, if it does not begin with a verb and has no -O. */
export const isDashM = (argv: readonly string[]): boolean => names(argv, "M");

/** Whether this is `tunctl -W DEST HOST`, if it does not begin with a verb. */
export const isDashW = (argv: readonly string[]): boolean => names(argv, "W");
