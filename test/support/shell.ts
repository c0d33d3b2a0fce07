// An interactive shell at a pseudo-terminal, in which keys are pressed as a person does, and the line is read back.
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";
import { type AtTerminal, startAtTerminal } from "./terminal.ts";

export const shells = ["bash", "zsh", "fish"] as const;
export type ShellName = (typeof shells)[number];

export interface Shell {
  /** Types a line and some keys (TAB unless given), and gives what the line is then, without the blank at its end. */
  completes(line: string, keys?: string): Promise<string>;
  /** Types a line and presses TAB (twice), and gives all that is shown. */
  offers(line: string): Promise<string>;
  /** Runs a command, whose output need not be looked at. */
  runs(command: string): Promise<void>;
  /** Ends it, whatever is on its line. */
  end(): Promise<void>;
}

const CTRL_O = "\u000f";

/** How the completion gets into each, as the help of `tunctl completion` says. */
const byHand: Record<ShellName, string[]> = {
  bash: ["source <(tunctl completion bash)"],
  zsh: ["autoload -U compinit && compinit -u -D", "source <(tunctl completion zsh)"],
  fish: ["tunctl completion fish | source"],
};

// Each binds ^O to a command that prints the line and empties it.
const setups: Record<ShellName, { args: string[]; lines: string[] }> = {
  bash: {
    args: ["--norc", "--noprofile", "-i"],
    lines: [
      `bind -x '"\\C-o": printf "line<%s>\\n" "$READLINE_LINE"; READLINE_LINE= READLINE_POINT=0'`,
      "bind 'set enable-bracketed-paste off'; bind 'set page-completions off'",
    ],
  },
  zsh: {
    args: ["-f", "-i"],
    lines: [
      // What zsh has on TAB expands before it completes, for any command: it runs what is in $(...) by itself.
      "bindkey '^I' complete-word",
      'say() { printf "line<%s>\\n" "$BUFFER"; BUFFER=; }; zle -N say; bindkey "^O" say; LISTMAX=999',
    ],
  },
  fish: {
    args: ["--no-config", "-i"],
    lines: [`bind \\co 'printf "line<%s>\\n" (commandline); commandline -r ""'`],
  },
};

/**
 * Starts one, in which `tunctl` is the built program. No file of the user's is read, nor of the machine.
 * @param env its environment, with a HOME to which files are added
 * @param loading what gets the completion into it
 */
export async function startShell(
  name: ShellName,
  env: NodeJS.ProcessEnv,
  loading: readonly string[] = byHand[name],
): Promise<Shell> {
  const bin = await binDirectory(env["HOME"] ?? "");
  const { args, lines } = setups[name];
  const terminal = startAtTerminal(
    "/bin/sh",
    ["-c", 'stty cols 250 rows 60; exec "$@"', "sh", name, ...args],
    {
      ...env,
      PATH: `${bin}:${env["PATH"]}`,
      TERM: "xterm",
    },
  );
  let mark = 0;
  const runs = async (command: string) => {
    // The quotes keep what is waited for apart from the echo of what is typed.
    terminal.types(`${command}; echo don"e"${++mark}.\n`);
    await terminal.shows(`done${mark}.`);
  };
  for (const line of [...lines, ...loading]) await runs(line);
  const lineAfter = reader(terminal);
  return {
    completes: async (line, keys = "\t") => (await lineAfter(`${line}${keys}`)).line,
    offers: async (line) => (await lineAfter(`${line}\t\t`)).shown,
    runs,
    end: async () => {
      terminal.types("\u0003\u0004"); // ^C leaves nothing on the line, ^D ends it
      terminal.types("exit\n");
      await terminal.end;
    },
  };
}

const reader = (terminal: AtTerminal) => async (typed: string) => {
  const from = terminal.shown().length;
  terminal.types(`${typed}${CTRL_O}`);
  let line = "";
  await eventually(() => {
    const [, found] = /line<([^]*?)>\r?\n/.exec(terminal.shown().slice(from)) ?? [];
    if (found === undefined) throw new Error(`no line: ${JSON.stringify(terminal.shown().slice(from))}`);
    line = found.trimEnd();
  });
  return { line, shown: terminal.shown().slice(from) };
};

async function binDirectory(home: string): Promise<string> {
  const bin = join(home, "bin");
  await mkdir(bin, { recursive: true });
  const program = fileURLToPath(new URL("../../dist/tunctl.cjs", import.meta.url));
  await symlink(program, join(bin, "tunctl")).catch(() => undefined); // another shell has it already
  return bin;
}
