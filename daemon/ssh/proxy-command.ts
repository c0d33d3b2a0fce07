// ProxyCommand of ssh_config(5): a program whose stdin and stdout are the way to the server.
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { Clock } from "../../shared/clock.ts";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
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
  /** ProxyUseFdpass: its stdin and stdout are not the way, it passes the socket that is */
  isPassing: boolean;
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
 * @throws TundError HOST_UNREACHABLE when it cannot be started, or passes no socket where it is to; UNSUPPORTED for one that
 * passes a socket, where there is no compiled file to take it
 */
export async function startProxyCommand(options: ProxyCommandOptions): Promise<Wire> {
  const { command, host, shell, env, children, clock, signal } = options;
  const failure = (why: string, cause?: unknown) =>
    new TundError("HOST_UNREACHABLE", `ProxyCommand of ${host}: ${why}`, { cause });
  const child = await children.start(shell, ["-c", `exec ${command}`], env).catch((error: unknown) => {
    throw failure(`cannot run ${shell}: ${messageOf(error)}`, error);
  });
  const said = lastWords(child.stderr);
  if (options.isPassing) return passedSocket(child, { ...options, said, failure });
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

interface Passing extends ProxyCommandOptions {
  said: () => string;
  failure: (why: string, cause?: unknown) => TundError;
}

/**
 * ProxyUseFdpass: takes the connected socket that the command passes over its stdout (SCM_RIGHTS), once it has ended, for which
 * ssh waits as well (sshconnect.c, ssh_proxy_fdpass_connect). What it has left running ends with the socket.
 */
async function passedSocket(child: Child, passing: Passing): Promise<Wire> {
  const { host, clock, signal, said, failure } = passing;
  const end = () => {
    if (signalGroup(child, "SIGHUP")) clock.after(PATIENCE_MS, () => signalGroup(child, "SIGKILL"));
  };
  const abort = () => void signalGroup(child, "SIGKILL");
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    if (child.receiveSocket === undefined)
      throw new TundError(
        "UNSUPPORTED",
        `ProxyUseFdpass of ${host}: a socket is taken by tund's compiled file, which is missing (see 'tunctl doctor')`,
      );
    await child.exited;
    const socket = new Socket({ fd: child.receiveSocket(), signal });
    socket.on("error", () => undefined); // it can come at any time; who uses the wire hears it too
    socket.once("close", end);
    socket.setNoDelay(true);
    return socket.pause();
  } catch (error) {
    end();
    if (error instanceof TundError) throw error;
    await Promise.race([closed(child.stderr), new Promise<void>((go) => void clock.after(PATIENCE_MS, go))]);
    throw failure(`${notPassed(child, errnoOf(error))}${said()}`, error);
  } finally {
    signal.removeEventListener("abort", abort);
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  }
}

function notPassed(child: Child, code: string | undefined): string {
  const ended = howItEnded(child);
  if (code === "ENOTSOCK") return "what it passed is no connected socket (ProxyUseFdpass)";
  if (code === "ENODATA") return "it printed something, and passed no socket (ProxyUseFdpass)";
  return `${ended}, and passed no socket (ProxyUseFdpass)`;
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
