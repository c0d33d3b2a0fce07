// A program at a pseudo-terminal of its own, as a person has it: script(1) makes the terminal.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { eventually } from "./eventually.ts";

const SCRIPT = "/usr/bin/script";

/** Why there are no pseudo-terminals here, or null. */
export const noTerminal = existsSync(SCRIPT) ? null : `there is no ${SCRIPT} (bsdutils)`;

export interface AtTerminal {
  /** all that the terminal has shown */
  shown(): string;
  /** Waits until it shows this text (again, behind what was waited for before). */
  shows(text: string): Promise<void>;
  /** Types, without a newline of its own. */
  types(text: string): void;
  /** Settles with the exit code. */
  end: Promise<number | null>;
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** Starts a program there. @param env its whole environment */
export function startAtTerminal(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): AtTerminal {
  const command = `exec ${[program, ...args].map(quoted).join(" ")}`;
  const child = spawn(SCRIPT, ["-qfec", command, "/dev/null"], { env, stdio: "pipe", detached: true });
  let shown = "";
  let seen = 0;
  child.stdout.on("data", (chunk: Buffer) => (shown += chunk.toString()));
  child.stdin.on("error", () => undefined);
  return {
    shown: () => shown,
    shows: async (text) => {
      await eventually(() => {
        const at = shown.indexOf(text, seen);
        if (at === -1) throw new Error(`'${text}' is not shown: ${JSON.stringify(shown.slice(seen))}`);
        seen = at + text.length;
      });
    },
    types: (text) => void child.stdin.write(text),
    end: new Promise((resolve) => child.once("close", resolve)),
  };
}
