// Whether anybody reads what is printed. Who writes is told (EPIPE); who waits for something to print has to look.
import { fstatSync, writeSync } from "node:fs";
import { errnoOf } from "../shared/errors.ts";
import type { Context } from "./command.ts";

/** How often it is looked at, in ms. */
const LOOK_EVERY_MS = 200;

/** Calls `run` once nobody reads stdout any more. Gives what ends the watch, which keeps no process alive. */
export function onceUnread(
  { stdoutDescriptor: fd, native }: Pick<Context, "stdoutDescriptor" | "native">,
  run: () => void,
): () => void {
  if (fd === null) return () => undefined;
  if (native === null && fstatSync(fd).isFIFO()) return onceTailEnds(fd, run);
  const isUnread = native === null ? () => isClosedSocket(fd) : () => native.isHungUp(fd);
  const timer = setInterval(() => {
    if (!isUnread()) return;
    clearInterval(timer);
    run();
  }, LOOK_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

// Node cannot poll(2) a pipe. GNU's tail does so with its own stdout, and ends by SIGPIPE; others do nothing of the kind.
function onceTailEnds(fd: number, run: () => void): () => void {
  const { spawn } = process.getBuiltinModule("node:child_process");
  const following = ["-f", `--pid=${process.pid}`, "/dev/null"];
  const tail = spawn("tail", following, { stdio: ["ignore", fd, "ignore"] });
  tail.on("error", () => undefined); // there is none
  tail.on("exit", (_, signal) => (signal === "SIGPIPE" ? run() : undefined));
  tail.unref();
  return () => void tail.kill("SIGKILL");
}

// It takes not even no bytes.
function isClosedSocket(fd: number): boolean {
  if (!fstatSync(fd).isSocket()) return false;
  try {
    writeSync(fd, "");
    return false;
  } catch (error) {
    return ["EPIPE", "ECONNRESET"].includes(errnoOf(error) ?? "");
  }
}
