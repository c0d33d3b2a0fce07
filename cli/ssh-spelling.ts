// ssh's own spellings are told from verbs before anything is parsed: `tunctl -O forward ... HOST`, `tunctl -W DEST HOST`.

/** Options of ssh(1) that take no value: an option with one may stand behind them in a cluster (`-qO check`). */
export const FLAGS = "46AaCfGgKkMNnqsTtVvXxYy";

const before = (argv: readonly string[]): readonly string[] => {
  const end = argv.indexOf("--");
  return end === -1 ? argv : argv.slice(0, end);
};

/** Whether this is `tunctl -O ...`. No verb has an option of that name. */
export const isDashO = (argv: readonly string[]): boolean =>
  before(argv).some((argument) => new RegExp(`^-[${FLAGS}]*O`).test(argument));

/** Whether this is `tunctl -W DEST HOST`: the verb is left out. */
export const isDashW = (argv: readonly string[]): boolean =>
  argv[0] !== "stdio" && before(argv).some((argument) => new RegExp(`^-[${FLAGS}]*W`).test(argument));
