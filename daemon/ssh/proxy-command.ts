// ProxyCommand of ssh_config(5): a program whose stdin and stdout are the way to the server.
import type { Readable } from "node:stream";
import type { Clock } from "../../shared/clock.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { Child, Children } from "./children.ts";
import { signalGroup } from "./process-group.ts";
import { JoinedWire, type Wire } from "./wire.ts";

export interface ProxyCommandOptions {
  /** with its tokens expanded */
  command: string;
  /** for messages: the host that it leads to */
  host: string;
  /** the shell that runs it (ssh takes $SHELL) */
  shell: string;
  /** its environment: tund's own if not given */
  env?: NodeJS.ProcessEnv;
  children: Children;
  clock: Clock;
  /** ends it, now or later */
  signal: AbortSignal;
}

// What is kept of its stderr, for the failure.
const MOST_SAID = 2048;
const PATIENCE_MS = 2000;

/**
 * Starts the command as ssh does (`SHELL -c 'exec COMMAND'`, sshconnect.c). The wire ends when the command does, with what
 * it said; the end of the wire ends the command, and whatever it started in its process group, though the command itself may
 * have ended: SIGHUP first, as ssh does, then SIGKILL.
 * @throws TundError HOST_UNREACHABLE when it cannot be started
 */
export async function startProxyCommand(options: ProxyCommandOptions): Promise<Wire> {
  const { command, host, shell, env, children, clock, signal } = options;
  const failure = (why: string, cause?: unknown) =>
    new TundError("HOST_UNREACHABLE", `ProxyCommand of ${host}: ${why}`, { cause });
  const child = await children.start(shell, ["-c", `exec ${command}`], env).catch((error: unknown) => {
    throw failure(`cannot run ${shell}: ${messageOf(error)}`, error);
  });
  const said = lastWords(child.stderr);
  const wire = new JoinedWire({
    readable: child.stdout,
    write: (chunk, done) => void child.stdin.write(chunk, () => done()),
    end: () => void child.stdin.end(),
    close: () => {
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      // Whether or not the command itself has ended: what it started may not have. An empty group is gone for good.
      if (signalGroup(child, "SIGHUP")) clock.after(PATIENCE_MS, () => signalGroup(child, "SIGKILL"));
    },
  });
  const ended = () => wire.destroy(failure(`${howItEnded(child)}${said()}`));
  void Promise.all([child.exited, closed(child.stdout), closed(child.stderr)]).then(ended);
  // What it started may hold its stdout open for ever. One that went well may have left the work to that.
  void child.exited.then(({ code }) => {
    const before = wire.bytesRead;
    if (code !== 0) clock.after(PATIENCE_MS, () => wire.bytesRead === before && ended());
  });
  // One that only closed its stdout is of no more use either.
  child.stdout.once("end", () => clock.after(PATIENCE_MS, ended));
  const abort = () => wire.destroy();
  signal.addEventListener("abort", abort, { once: true });
  wire.once("close", () => signal.removeEventListener("abort", abort));
  if (signal.aborted) abort();
  return wire;
}

function lastWords(stderr: Readable): () => string {
  let text = "";
  stderr.on("data", (chunk: Buffer) => (text = (text + chunk.toString()).slice(-MOST_SAID)));
  return () => {
    const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== "");
    return lines.length === 0 ? "" : `: ${lines.join("; ")}`;
  };
}

const closed = (stream: Readable): Promise<void> =>
  new Promise((go) => (stream.closed ? go() : void stream.once("close", go)));

function howItEnded({ exit }: Child): string {
  if (exit === undefined) return "it closed its stdout";
  return exit.signal !== null ? `it was ended by ${exit.signal}` : `it ended with exit code ${exit.code}`;
}
