// Starts a daemon where none answers, for whoever is used to `ssh` needing none.
import { spawn } from "node:child_process";
import { mkdirSync, openSync, closeSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { errnoOf, TundError } from "../shared/errors.ts";
import { stateDirectory } from "../shared/socket-path.ts";
import type { Context } from "./command.ts";

const START_DEADLINE_MS = 15_000;
const LOOK_EVERY_MS = 20;

/** Makes sure that a daemon answers on a control socket. @throws TundError DAEMON_UNREACHABLE when it does not come up */
export async function ensureDaemon(context: Context, socketPath: string): Promise<void> {
  if (await answers(socketPath)) return;
  const state = stateDirectory(context.env, context.home);
  const log = join(state, "tund.log");
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const output = openSync(log, "a", 0o600);
  const daemon = spawn(context.programs.node, [context.programs.tund], {
    env: { ...context.env, TUND_SOCKET: socketPath },
    stdio: ["ignore", output, output],
    detached: true, // it outlives whoever wanted it first
    cwd: "/",
  });
  closeSync(output);
  let ended = false;
  daemon.once("exit", () => (ended = true));
  daemon.once("error", () => (ended = true));
  const deadline = performance.now() + START_DEADLINE_MS;
  while (!(await answers(socketPath))) {
    // Another one may have been quicker: then that one answers.
    if ((ended && !(await answers(socketPath))) || performance.now() > deadline)
      throw new TundError("DAEMON_UNREACHABLE", `tund did not come up on ${socketPath}: ${log} says why`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  daemon.unref();
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.once("connect", () => (probe.destroy(), resolve(true)));
    probe.once("error", (error) => {
      const isNobody = ["ENOENT", "ENOTDIR", "ECONNREFUSED"].includes(errnoOf(error) ?? "");
      if (isNobody) resolve(false);
      else
        reject(
          new TundError("DAEMON_UNREACHABLE", `cannot speak to the daemon on ${path}: ${error.message}`),
        );
    });
  });
}
