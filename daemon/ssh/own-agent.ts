// An ssh-agent of tund's own, and the system's ssh-add that opens identities into it: whatever ssh reads is read, as fast as
// ssh does it, and no private key of an encrypted file lies in tund's heap.
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../shared/clock.ts";
import { messageOf } from "../../shared/errors.ts";
import { makeDirectory } from "../../shared/make-directory.ts";
import { judge } from "../../shared/trusted-path.ts";
import { temporaryDirectory } from "../temporary.ts";
import { Agent } from "./agent.ts";
import type { Child, Children } from "./children.ts";
import { keyType } from "./host-key.ts";
import { OPEN_DEADLINE_MS, WrongPassphrase } from "./private-key.ts";
import { NotRun, runTool, type ToolOutcome } from "./tool.ts";

export interface OwnAgentOptions {
  /** where its socket is to be: made when it is needed, for its user alone, and removed with it */
  directory: string;
  /** path of the program that gives ssh-add what it reads from stdin (askpass.sh) */
  askpass: string;
  env: NodeJS.ProcessEnv;
  children: Children;
  clock: Clock;
}

/** ssh-add or ssh-agent cannot do it here, which is not to say that the passphrase is wrong. */
export class ToolFailure extends Error {}

const START_DEADLINE_MS = 5000;
const PATIENCE_MS = 2000;
// Of a socket's path: what fits everywhere (macOS has the shortest, 104 with the NUL).
const MOST_PATH_BYTES = 103;

// What askpass.sh says on stderr each time that it is asked.
const ASKED = "tund-askpass: asked";
// ssh-add's exit code when it cannot reach the agent (ssh-add(1)).
const NO_AGENT = 2;

// ssh-agent runs this in front of it, and would notice its end within 10 s. It ends with the pipe that we hold, however we
// end, and takes the agent along at once.
const HOLD = 'echo "$SSH_AGENT_PID"; read -r _; kill "$SSH_AGENT_PID"';

/** What a program of OpenSSH's is to open. */
interface Asked {
  path: string;
  passphrase: string;
  signal: AbortSignal;
  /** added to its environment */
  env?: NodeJS.ProcessEnv;
}

interface Running {
  socket: string;
  directory: string;
  holder: Child;
  pid: number;
}

/** One agent at a time, started when it is first needed. Whoever has no more keys in it stops it. */
export class OwnAgent {
  readonly #options: OwnAgentOptions;
  #running: Promise<Running> | undefined;
  /** settles when what a daemon that was killed has left behind is gone */
  #cleared: Promise<void> | undefined;

  constructor(options: OwnAgentOptions) {
    this.#options = options;
  }

  /**
   * Opens a file into it. The passphrase is given once: if ssh-add asks again it was wrong.
   * @throws WrongPassphrase; ToolFailure when OpenSSH's tools cannot do it; Error when it takes more than a minute, or `signal` aborts
   */
  async add(path: string, passphrase: string, signal: AbortSignal): Promise<void> {
    let outcome = await this.#sshAdd(path, passphrase, signal);
    if (outcome.code === NO_AGENT) {
      this.stop();
      outcome = await this.#sshAdd(path, passphrase, signal);
    }
    const { code, stderr } = outcome;
    if (code === 0) return;
    const lines = stderr.split(/[\r\n]+/).filter((line) => line.trim() !== "");
    if (lines.filter((line) => line === ASKED).length > 1) throw new WrongPassphrase();
    const why = lines.filter((line) => line !== ASKED).join("; ");
    throw new ToolFailure(`ssh-add ended with exit code ${code}${why === "" ? "" : `: ${why}`}`);
  }

  /**
   * The public half of a file that tells it to nobody else, by ssh-keygen.
   * @throws WrongPassphrase; ToolFailure when OpenSSH's tools cannot do it; Error when it takes more than a minute, or `signal` aborts
   */
  async publicHalf(path: string, passphrase: string, signal: AbortSignal): Promise<Buffer> {
    const { code, stdout, stderr } = await this.#run("ssh-keygen", ["-y", "-f", path], {
      path,
      passphrase,
      signal,
    });
    if (code !== 0 && stderr.includes(ASKED)) throw new WrongPassphrase();
    const [type = "", base64 = ""] = stdout.split(" ");
    const blob = Buffer.from(base64, "base64");
    if (code === 0 && keyType(blob) === type) return blob;
    throw new ToolFailure(`ssh-keygen ended with exit code ${code}: ${stderr.trim()}`);
  }

  /** Whether it holds this key. One that does not answer has ended, or is ended. */
  async holds(blob: Buffer): Promise<boolean> {
    try {
      const keys = await this.#ask((agent) => agent.keys());
      return keys.some((key) => key.blob.equals(blob));
    } catch {
      this.stop();
      return false;
    }
  }

  /** Has it sign, as Agent.sign(). @throws Error when it has ended, or does not hold the key */
  sign(blob: Buffer, data: Buffer, algorithm: string): Promise<Buffer> {
    return this.#ask((agent) => agent.sign(blob, data, algorithm));
  }

  /** Removes every other key. @throws Error when it cannot be reached, or keeps one */
  async keepOnly(isWanted: (blob: Buffer) => boolean): Promise<void> {
    if (this.#running === undefined) return;
    await this.#ask(async (agent) => {
      for (const { blob } of await agent.keys()) if (!isWanted(blob)) await agent.remove(blob);
    });
  }

  /** Ends it, with the keys that it holds. */
  stop(): void {
    const running = this.#running;
    this.#running = undefined;
    running?.then(
      (one) => this.#end(one),
      () => undefined,
    );
  }

  async #ask<T>(question: (agent: Agent) => Promise<T>): Promise<T> {
    const running = await this.#running;
    if (running === undefined) throw new Error("tund's own agent has ended");
    const agent = new Agent(running.socket, this.#options.clock);
    try {
      return await question(agent);
    } finally {
      agent.close();
    }
  }

  async #sshAdd(path: string, passphrase: string, signal: AbortSignal): Promise<ToolOutcome> {
    const { socket } = await this.#started();
    return this.#run("ssh-add", ["--", path], { path, passphrase, signal, env: { SSH_AUTH_SOCK: socket } });
  }

  async #run(program: string, args: readonly string[], asked: Asked): Promise<ToolOutcome> {
    const { askpass, env, children, clock } = this.#options;
    const { path, passphrase, signal, env: more } = asked;
    try {
      return await runTool(program, args, {
        env: {
          ...env,
          ...more,
          SSH_ASKPASS: askpass,
          SSH_ASKPASS_REQUIRE: "force",
          // Before OpenSSH 8.4 an askpass program is used where there is a display, and no terminal: stdin is none.
          DISPLAY: env["DISPLAY"] ?? ":0",
        },
        input: `${passphrase}\n`,
        what: `${program} for ${path}`,
        deadlineMs: OPEN_DEADLINE_MS,
        children,
        clock,
        signal,
      });
    } catch (error) {
      throw error instanceof NotRun ? new ToolFailure(error.message, { cause: error }) : error;
    }
  }

  #started(): Promise<Running> {
    const starting = (this.#running ??= this.#start());
    return starting.catch((error: unknown) => {
      if (this.#running === starting) this.#running = undefined;
      throw new ToolFailure(messageOf(error), { cause: error });
    });
  }

  async #start(): Promise<Running> {
    const directory = await this.#place();
    // A name of its own: one that is ending still removes the socket that it had.
    const socket = join(directory, randomBytes(4).toString("hex"));
    const { env, children, clock } = this.#options;
    const args = ["-a", socket, "/bin/sh", "-c", HOLD];
    const holder = await children.start("ssh-agent", args, env).catch((error: unknown) => {
      throw new Error(`ssh-agent cannot be run: ${messageOf(error)}`, { cause: error });
    });
    holder.stderr.resume();
    try {
      const running = { socket, directory, holder, pid: await pidFrom(holder, clock) };
      void holder.exited.then(() => this.#ended(running));
      return running;
    } catch (error) {
      holder.stdin.destroy();
      signalTo(holder.pid);
      throw error;
    }
  }

  // Beside the control socket, where that is private and the path is short enough.
  async #place(): Promise<string> {
    const { directory } = this.#options;
    try {
      // What others could change is not even cleared.
      const isPrivate = () => judge(directory, "private").refusal === null;
      const fits = Buffer.byteLength(join(directory, "12345678")) <= MOST_PATH_BYTES;
      if (fits && isPrivate()) {
        await (this.#cleared ??= rm(directory, { recursive: true, force: true }));
        await makeDirectory(directory, 0o700);
        if (isPrivate()) return directory;
      }
    } catch {
      // another place then
    }
    return temporaryDirectory("tund-agent-");
  }

  #ended(running: Running): void {
    void this.#running?.then(
      (current) => {
        if (current === running) this.#running = undefined;
      },
      () => undefined,
    );
    // The usual place may be the next one's already.
    if (running.directory === this.#options.directory) return;
    rm(running.directory, { recursive: true, force: true }).catch(() => undefined);
  }

  #end({ holder, pid }: Running): void {
    holder.stdin.destroy();
    this.#options.clock.after(PATIENCE_MS, () => {
      if (holder.exit !== undefined) return;
      // Nobody has taken note of the agent's end if it has ended: its number is nobody else's.
      signalTo(pid);
      signalTo(holder.pid);
    });
  }
}

function signalTo(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended meanwhile
  }
}

function pidFrom(holder: Child, clock: Clock): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`ssh-agent ${why}`));
    const timer = clock.after(START_DEADLINE_MS, () => fail("does not start"));
    let said = "";
    void holder.exited.then(({ code }) => fail(`ended with exit code ${code}`));
    holder.stdout.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(0, 64);
      const [, pid] = /^(\d+)\n/.exec(said) ?? [];
      if (pid === undefined) return;
      timer.cancel();
      resolve(Number(pid));
    });
  });
}
