// Starts a daemon where none answers, for whoever is used to `ssh` needing none.
import { spawn } from "node:child_process";
import { constants, openSync, closeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, messageOf, TundError } from "../shared/errors.ts";
import { claimDirectory } from "../shared/own-directory.ts";
import { statePlace } from "../shared/places.ts";
import { stateDirectory } from "../shared/socket-path.ts";
import type { Context } from "./command.ts";
import { connectControl } from "./connect-control.ts";
import type { ControlSocket } from "./control-socket.ts";
import { type Hold, openHold } from "./hold.ts";
import { unreachable } from "./unreachable.ts";

const START_DEADLINE_MS = 15_000;
const LOOK_EVERY_MS = 20;

/**
 * Opens a hold of a daemon, which is started if there is none.
 * @throws TundError DAEMON_UNREACHABLE when it does not come up, or what it says
 */
export async function holdOfOurs(context: Context, control: ControlSocket): Promise<Hold> {
  const deadline = performance.now() + START_DEADLINE_MS;
  for (;;) {
    await ensureDaemon(context, control);
    try {
      return await openHold(control);
    } catch (error) {
      // One that had nothing to do has just ended.
      const hasGone = error instanceof TundError && error.code === "DAEMON_UNREACHABLE";
      if (!hasGone || performance.now() > deadline) throw error;
    }
    await sleep(LOOK_EVERY_MS);
  }
}

/** Makes sure that a daemon answers on a control socket. @throws TundError DAEMON_UNREACHABLE when it does not come up */
async function ensureDaemon(context: Context, control: ControlSocket): Promise<void> {
  if (await answers(control)) return;
  const state = stateDirectory(context.env, context.home);
  const log = join(state, "tund.log");
  const output = await openLog(state, log);
  const daemon = spawn(context.programs.node, [context.programs.tund, "--while-held", "60"], {
    env: { ...context.env, TUND_SOCKET: control.path },
    stdio: ["ignore", output, output],
    detached: true, // it outlives whoever wanted it first
    cwd: "/",
  });
  closeSync(output);
  let ended = false;
  daemon.once("exit", () => (ended = true));
  daemon.once("error", () => (ended = true));
  const deadline = performance.now() + START_DEADLINE_MS;
  while (!(await answers(control))) {
    // Another one may have been quicker: then that one answers.
    if ((ended && !(await answers(control))) || performance.now() > deadline)
      throw new TundError("DAEMON_UNREACHABLE", `tund did not come up on ${control.path}: ${log} says why`);
    await sleep(LOOK_EVERY_MS);
  }
  daemon.unref();
}

const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;

// What it can do to the state directory is for the daemon to say.
async function openLog(state: string, log: string): Promise<number> {
  try {
    await claimDirectory(state, statePlace, () => undefined);
    return openSync(log, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch (error) {
    throw new TundError("DAEMON_UNREACHABLE", `cannot start tund: ${messageOf(error)}`, { cause: error });
  }
}

async function answers(control: ControlSocket): Promise<boolean> {
  try {
    (await connectControl(control)).destroy();
    return true;
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ECONNREFUSED"].includes(errnoOf(error) ?? "")) return false;
    throw unreachable(control.path, error);
  }
}
