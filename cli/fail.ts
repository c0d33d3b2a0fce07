// The only writer to stderr: failures, warnings, and help for whoever did not ask for it.
import { errors, messageOf, TundError } from "../shared/errors.ts";
import { visibleLine, visibleLines } from "../shared/visible.ts";
import type { Context, Invocation } from "./command.ts";

/** Says why in one line, with the stack of an unexpected error if `verbose`. Gives the exit code. */
export function fail(context: Context, error: unknown, verbose = false): number {
  const expected = error instanceof TundError;
  const message = expected ? error.message : `unexpected error: ${messageOf(error)}`;
  context.stderr.write(`tunctl: ${visibleLine(message)}\n`);
  if (expected) return errors[error.code].exit;
  if (verbose && error instanceof Error) context.stderr.write(`${visibleLines(error.stack ?? "")}\n`);
  return 1;
}

/** Warns in one line, unless -q. */
export function warn(invocation: Invocation, message: string): void {
  if (!invocation.quiet) invocation.context.stderr.write(`tunctl: warning: ${visibleLine(message)}\n`);
}

/** Says more, under -v. */
export function detail({ context, verbose }: Invocation, message: string): void {
  if (verbose) context.stderr.write(`tunctl: ${visibleLine(message)}\n`);
}

/** Tells a person at a terminal what an empty stdout means, unless -q. */
export function remark(invocation: Invocation, message: string): void {
  const { context, quiet } = invocation;
  if (context.stdout.isTTY && !quiet) context.stderr.write(`${visibleLine(message)}\n`);
}

/** Shows what somebody else has to say (a server's banner), unless -q. */
export function remarkAs({ context, quiet }: Invocation, text: string): void {
  if (quiet) return;
  context.stderr.write(`${visibleLines(text.replace(/\r?\n$/, ""))}\n`);
}

/** Shows help to whoever gave no verb. Gives the exit code. */
export function refuse(context: Context, help: readonly string[]): number {
  context.stderr.write(`${help.join("\n")}\n`);
  return errors.INVALID_REQUEST.exit;
}

/** Says something in ssh's own words, which end as ssh ends the lines of its log: scripts may compare them. */
export function sayAsSsh(context: Pick<Context, "stderr">, text: string): void {
  context.stderr.write(`${visibleLine(text)}\r\n`);
}
