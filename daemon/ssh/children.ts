// Child processes: programs that are started without holding anybody up, each at the head of a process group of its own.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { getSystemErrorName } from "node:util";
import type { Native, StartedChild } from "../../shared/native/load.ts";

/** How it ended: one of the two is null. Both are where nobody knows. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A program that runs, and its streams, whose errors are everybody's own affair: each has a listener. */
export interface Child {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** once it has ended; its streams may have more to say */
  readonly exit: Exit | undefined;
  /** settles when it has ended */
  readonly exited: Promise<Exit>;
  /**
   * Takes the connected socket that it has passed over its stdout, which must not have been read, once it has ended. Undefined
   * where the compiled file did not start it. @throws Error with the system's code why there is none
   */
  readonly receiveSocket?: () => number;
}

/**
 * Starts programs. Node's own spawn() stands still until the child has run exec(), which takes a second where the processors
 * are busy: with the compiled file that happens in a thread. Without it, it is Node's.
 */
export class Children {
  readonly #native: Native | null;
  readonly #env: NodeJS.ProcessEnv;
  readonly #running = new Map<number, Started>();
  #starting = 0;

  /** @param env what a program is given if nothing else is said */
  constructor(native: Native | null, env: NodeJS.ProcessEnv) {
    this.#native = native;
    this.#env = env;
  }

  /** What a program is given if nothing else is said. */
  get env(): NodeJS.ProcessEnv {
    return this.#env;
  }

  /** The compiled file that starts them, where it is there. */
  get native(): Native | null {
    return this.#native;
  }

  /**
   * Starts one, found on PATH, without a shell. It settles when the program runs.
   * @throws Error with the system's code (ENOENT, EACCES, E2BIG, ...) when it cannot be started
   */
  async start(program: string, args: readonly string[], env = this.#env): Promise<Child> {
    if (this.#native === null) return startByNode(program, args, env);
    const strings = Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    if ([program, ...args, ...strings].some((text) => text.includes("\0")))
      throw Object.assign(new Error(`${program}: a NUL cannot be part of a command`), { code: "EINVAL" });
    this.#starting++;
    try {
      const started = await this.#native.startChild([program, ...args], strings);
      if (!isRunning(started)) throw failed(program, started.errno);
      const child = new Started(started, this.#native);
      this.#running.set(child.pid, child);
      this.#look(child, this.#native); // it may have ended before we heard of it
      return child;
    } finally {
      this.#starting--;
    }
  }

  /** Takes note of those that have ended: to be called at each SIGCHLD. */
  reap(): void {
    if (this.#native !== null) for (const child of this.#running.values()) this.#look(child, this.#native);
  }

  /** For PID 1: reaps those that others have left to us. Gives whether it is to be called again, and a little later. */
  reapOrphans(): boolean {
    if (this.#native === null) return false;
    // One that is being started may end before we have heard its pid.
    return this.#starting > 0 || this.#native.reapOrphans([...this.#running.keys()]);
  }

  #look(child: Started, native: Native): void {
    const end = native.reapChild(child.pid);
    if (end === null) return;
    this.#running.delete(child.pid);
    child.ended({ code: end.code < 0 ? null : end.code, signal: signalOf(end.signal) });
  }
}

class Started implements Child {
  readonly pid: number;
  readonly stdin: Socket;
  readonly stderr: Socket;
  readonly exited: Promise<Exit>;
  readonly #native: Native;
  readonly #stdoutFd: number;
  #stdout: Socket | undefined;
  #exit: Exit | undefined;
  #settle: (exit: Exit) => void = () => undefined;

  constructor({ pid, stdin, stdout, stderr }: StartedChild, native: Native) {
    this.pid = pid;
    this.stdin = new Socket({ fd: stdin, readable: false, writable: true });
    this.#stdoutFd = stdout;
    this.stderr = new Socket({ fd: stderr, readable: true, writable: false });
    for (const each of [this.stdin, this.stderr]) each.on("error", () => undefined);
    this.#native = native;
    this.exited = new Promise((resolve) => (this.#settle = resolve));
  }

  get exit(): Exit | undefined {
    return this.#exit;
  }

  // Made when it is wanted: Node reads it from then on, and what it reads has lost the descriptors that came with it.
  get stdout(): Socket {
    if (this.#stdout !== undefined) return this.#stdout;
    const stdout = new Socket({ fd: this.#stdoutFd, readable: true, writable: false });
    stdout.on("error", () => undefined);
    return (this.#stdout = stdout);
  }

  receiveSocket(): number {
    const fd = this.#native.receiveSocket(this.#stdoutFd);
    if (fd >= 0) return fd;
    throw Object.assign(new Error(getSystemErrorName(fd)), { code: getSystemErrorName(fd) });
  }

  ended(exit: Exit): void {
    this.#exit = exit;
    this.#settle(exit);
  }
}

const isRunning = (started: StartedChild | { errno: number }): started is StartedChild => started.errno === 0;

// As Node's own have it.
function failed(program: string, errno: number): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`spawn ${program} ${code}`), {
    code,
    errno: -errno,
    syscall: `spawn ${program}`,
  });
}

const signalOf = (number: number): NodeJS.Signals | null =>
  (Object.keys(constants.signals) as NodeJS.Signals[]).find((name) => constants.signals[name] === number) ??
  null;

async function startByNode(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Child> {
  const child: ChildProcessWithoutNullStreams = spawn(program, args, { detached: true, stdio: "pipe", env });
  // Nothing of it is there then: where there are no descriptors left, not even its streams.
  const { pid } = child;
  if (pid === undefined) throw ((await once(child, "error")) as [unknown])[0];
  for (const each of [child, child.stdin, child.stdout, child.stderr]) each.on("error", () => undefined);
  const { stdin, stdout, stderr } = child;
  let exit: Exit | undefined;
  const exited = new Promise<Exit>((resolve) =>
    child.once("exit", (code, signal) => resolve((exit = { code, signal }))),
  );
  return {
    pid,
    stdin,
    stdout,
    stderr,
    get exit() {
      return exit;
    },
    exited,
  };
}
