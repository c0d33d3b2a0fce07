// The only writer of text to stdout: what was asked for, and nothing else.
import { visibleJson, visibleLine, visibleLines } from "../shared/visible.ts";
import type { Invocation } from "./command.ts";

/** Prints an answer: `value` as JSON with --json, else the lines. */
export function print(invocation: Invocation, value: unknown, lines: () => readonly string[]): void {
  const { context, json } = invocation;
  const text = json ? [visibleJson(value)] : lines().map(visibleLine);
  if (text.length > 0) context.stdout.write(`${text.join("\n")}\n`);
}

/** Prints one of many values as a line of JSON. */
export function printLine({ context }: Pick<Invocation, "context">, value: unknown): void {
  context.stdout.write(`${visibleJson(value, 0)}\n`);
}

/** Prints what a verb has changed: for a script only with --json or -v, for a person at a terminal unless -q. */
export function confirm(invocation: Invocation, value: unknown, lines: () => readonly string[]): void {
  const { context, json, quiet, verbose } = invocation;
  if (json || verbose || (context.stdout.isTTY && !quiet)) print(invocation, value, lines);
}

/** Answers one command of a conversation. */
export function answer({ context }: Pick<Invocation, "context">, text: string): void {
  context.stdout.write(`${visibleLines(text)}\n`);
}
