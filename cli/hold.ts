// What a master is held by: a connection to the daemon. The master ends with it, whoever has it open.
import type { Socket } from "node:net";
import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { TundError } from "../shared/errors.ts";
import { HOLD_HEADER, HOLD_PATH, HOLD_PROTOCOL } from "../shared/routes.ts";
import type { ControlSocket } from "./control-socket.ts";
import { upgrade } from "./upgrade.ts";

export interface Hold {
  id: string;
  socket: Socket;
}

/** Opens one. @throws TundError DAEMON_UNREACHABLE, or what the daemon says */
export async function openHold(control: ControlSocket): Promise<Hold> {
  const { headers, socket } = await upgrade(control, { path: HOLD_PATH, protocol: HOLD_PROTOCOL });
  const id = headers[HOLD_HEADER];
  if (typeof id === "string") return { id, socket };
  socket.destroy();
  throw new TundError("INTERNAL", "the daemon's answer makes no sense");
}

/** Waits for the end of the master. Gives why, if that was nobody's wish. */
export function endOf({ socket }: Hold): Promise<string | null> {
  return new Promise((resolve) => {
    let why = "";
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => (why += text));
    socket.on("error", () => undefined);
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(why.trimEnd() || null));
  });
}

// A shell, since nothing is smaller and everywhere: it waits, and writes down why the master ended.
const WAIT = `while IFS= read -r why; do printf '%s\\r\\n' "$why"; done`;

/**
 * Gives a hold to a process of its own in the background: the master ends with that process, and it with the master.
 * @param title what the process is known by (ps)
 * @param log the file that it writes to, `stderr` for ours, or null for none
 * @throws TundError INTERNAL when there is no sh. Gives its pid
 */
export function giveAway({ socket }: Hold, title: string, log: string | null): Promise<number> {
  const output = log === "stderr" ? 2 : openSync(log ?? "/dev/null", "a", 0o600);
  const child = spawn("sh", ["-c", WAIT, title], {
    stdio: [socket, output, output],
    detached: true,
    cwd: "/",
  });
  return new Promise((resolve, reject) => {
    child.once("error", (cause) =>
      reject(new TundError("INTERNAL", `cannot go to the background: ${cause.message}`, { cause })),
    );
    child.once("spawn", () => {
      child.unref();
      socket.destroy(); // ours: the other process has it still
      resolve(child.pid ?? 0);
    });
  });
}
