// SSH_ASKPASS: a program that asks in our place, as ssh runs it (readpass.c).
import { execFile } from "node:child_process";
import { visibleLines } from "../shared/visible.ts";

interface Question {
  instructions: string | null;
  text: string;
}

/** Has it ask. Gives what it prints, or null when it ends in failure: nobody answered. */
export function askProgram(
  program: string,
  { instructions, text }: Question,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | null> {
  // It may be shown at a terminal, and an argument holds no NUL.
  const question = visibleLines(instructions === null ? text : `${instructions}\n${text}`);
  return new Promise((resolve) => {
    const child = execFile(program, [question], { env: { ...env } }, (error, stdout) =>
      resolve(error === null ? (stdout.split(/\r?\n/)[0] ?? "") : null),
    );
    child.stdin?.end();
  });
}
