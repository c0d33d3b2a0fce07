// `--wait SECONDS`: a daemon that is being started answers in a moment.
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, TundError } from "../shared/errors.ts";
import type { Given } from "./args.ts";
import { Client } from "./client.ts";
import type { Context } from "./command.ts";
import type { ControlSocket } from "./control-socket.ts";
import { controlSocketOf, waitSeconds } from "./socket.ts";

const PAUSE_MS = { first: 20, most: 200 };
// Nobody listens yet, or not any more, or has more to do than fits its queue (EAGAIN, unix(7)).
const PASSING = new Set(["ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET", "EPIPE", "EAGAIN"]);

/**
 * The control socket of a command line; with --wait, once a daemon answers there, which may be at another place than was
 * looked at first.
 * @param warn as chooseSocket()
 * @throws TundError INVALID_REQUEST as chooseSocket() and waitSeconds(); DAEMON_UNREACHABLE when the time is over, or at once
 *   for what waiting does not mend
 */
export async function daemonOf(
  context: Context,
  given: readonly Given[],
  warn: (line: string) => unknown,
): Promise<ControlSocket> {
  const seconds = waitSeconds(given);
  if (seconds === 0) return controlSocketOf(context, given, warn);
  const told = new Set<string>();
  const warnOnce = (line: string) => void (told.has(line) || (told.add(line), warn(line)));
  const late = AbortSignal.timeout(seconds * 1000);
  for (let pause = PAUSE_MS.first; ; pause = Math.min(2 * pause, PAUSE_MS.most)) {
    const control = controlSocketOf(context, given, warnOnce);
    const failure = await failureOf(control, late);
    if (failure === null) return control;
    if (late.aborted) throw inVain(seconds, failure, control);
    await sleep(pause, undefined, { signal: late }).catch(() => undefined);
  }
}

/** Why it does not answer yet; null when it does. @throws TundError when it never will */
async function failureOf(control: ControlSocket, late: AbortSignal): Promise<TundError | null> {
  // One for each: node:net does not take its listener from a signal again.
  const attempt = new AbortController();
  const abort = () => attempt.abort();
  late.addEventListener("abort", abort);
  try {
    await new Client(control, attempt).call("getStatus", {});
    return null;
  } catch (error) {
    if (!(error instanceof TundError)) throw error;
    if (error.code === "SHUTTING_DOWN" || late.aborted) return error;
    if (error.code === "DAEMON_UNREACHABLE" && PASSING.has(errnoOf(error.cause) ?? "")) return error;
    throw error;
  } finally {
    late.removeEventListener("abort", abort);
  }
}

function inVain(seconds: number, failure: TundError, { path }: ControlSocket): TundError {
  const isSilent = errnoOf(failure.cause) === undefined || errnoOf(failure.cause) === "ABORT_ERR";
  const why = isSilent ? `the daemon on ${path} does not answer: see its log for why` : failure.message;
  return new TundError("DAEMON_UNREACHABLE", `waited ${seconds} s: ${why}`, { cause: failure.cause });
}
