import { usageError } from "../args.ts";
import type { Command } from "../command.ts";

const shells = ["bash", "zsh", "fish"] as const;

/** Prints a shell's completion script. */
export const completion: Command = {
  name: "completion",
  summary: "print a script that completes tunctl's command line in a shell",
  usage: "(bash | zsh | fish)",
  options: [],
  most: 1,
  takes: [shells],
  help: `Completes verbs, options, files, hosts (those of tund, and the aliases of ~/.ssh/config), and what stands:
ids and names, and for 'cancel -L' the specs. It asks tund, and never starts it.

Examples:
  source <(tunctl completion bash)
  tunctl completion bash > ~/.local/share/bash-completion/completions/tunctl
  tunctl completion zsh > ~/.zfunc/_tunctl
  tunctl completion fish > ~/.config/fish/completions/tunctl.fish`,

  async run({ context, positionals }) {
    const [named] = positionals;
    const shell = shells.find((one) => one === named);
    if (shell === undefined)
      throw usageError(
        `completion takes one of ${shells.join(", ")}${named === undefined ? "" : `: '${named}'`}`,
      );
    // Loaded here, since no other verb needs it.
    const { scripts } = await import("../completion/scripts.ts");
    context.stdout.write(scripts[shell]);
  },
};
