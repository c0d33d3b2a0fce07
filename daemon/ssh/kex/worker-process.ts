// The worker as tund sees it: a process that is there while there is something to compute, and 10 s longer. Its V8 has flags
// of its own, which a thread's has not, and its memory goes with it.
import type { Clock, Timer } from "../../../shared/clock.ts";
import { messageOf } from "../../../shared/errors.ts";
import type { Child, Children } from "../children.ts";
import { signalGroup } from "../process-group.ts";
import { inLine } from "../said.ts";
import { hello, type Operation } from "./worker-protocol.ts";

const REST_MS = 10_000;
// On a busy machine it takes a second to be there, and what it computes some milliseconds.
const ANSWER_MS = 30_000;
const HELLO_MS = 10_000;
// One that could not be had is not tried again so soon.
const GIVEN_UP_MS = 60_000;
const MOST_SAID = 4096;

interface Job {
  operation: Operation;
  input: Buffer;
  deadlineMs: number;
  /** it was under way in a process that has ended */
  isSecond: boolean;
  done: (output: Buffer) => void;
  failed: (error: Error) => void;
}

export interface WorkerOptions {
  /** path of the program that it runs */
  script: string;
  /** its environment */
  env: NodeJS.ProcessEnv;
  children: Children;
  clock: Clock;
}

export class Worker {
  readonly #options: WorkerOptions;
  readonly #jobs: Job[] = [];
  #current: Job | undefined;
  #running: { child: Child; said: string } | undefined;
  #isStarting = false;
  #output: Buffer[] = [];
  #deadline: Timer | undefined;
  #rest: Timer | undefined;
  #hello: Promise<string | null> | undefined;
  /** why it could not be had, and since when */
  #failure: { why: string; at: number } | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Whether nothing is computed and nothing waits. */
  get isIdle(): boolean {
    return this.#current === undefined && this.#jobs.length === 0;
  }

  /**
   * Why there is none; null where there is. The first time, and a minute after it could not be had, one is started to see.
   */
  async absence(): Promise<string | null> {
    const { clock } = this.#options;
    if (this.#failure !== undefined) {
      if (clock.monotonic() - this.#failure.at < GIVEN_UP_MS) return this.#failure.why;
      this.#failure = undefined;
      this.#hello = undefined;
    }
    this.#hello ??= this.#enter(hello, Buffer.alloc(0), HELLO_MS).then(() => null, messageOf);
    return this.#hello;
  }

  /** Has it compute. @throws Error when there is none, it ends twice over this, or takes more than 30 s */
  run(operation: Operation, input: Buffer): Promise<Buffer> {
    return this.#enter(operation, input, ANSWER_MS);
  }

  /** Ends the process. */
  stop(): void {
    this.#rest?.cancel();
    const { child } = this.#running ?? {};
    this.#running = undefined;
    if (child === undefined) return;
    // It has nothing to put in order, and secrets of ours in its memory.
    if (child.exit === undefined) signalGroup(child, "SIGKILL");
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  }

  #enter(operation: Operation, input: Buffer, deadlineMs: number): Promise<Buffer> {
    return new Promise((done, failed) => {
      this.#jobs.push({ operation, input, deadlineMs, isSecond: false, done, failed });
      this.#next();
    });
  }

  #next(): void {
    if (this.#current !== undefined) return;
    const job = this.#jobs.shift();
    if (job === undefined) return this.#lieDown();
    this.#rest?.cancel();
    this.#current = job;
    this.#deadline = this.#options.clock.after(job.deadlineMs, () => {
      job.isSecond = true;
      this.#failed(new Error(`no answer in ${job.deadlineMs / 1000} s`));
    });
    if (this.#running === undefined) void this.#start();
    else this.#ask(this.#running.child, job);
  }

  #ask({ stdin }: Child, { operation, input }: Job): void {
    stdin.write(Buffer.concat([Buffer.from([operation.code]), input]));
  }

  async #start(): Promise<void> {
    if (this.#isStarting) return;
    this.#isStarting = true;
    const { script, children } = this.#options;
    // V8 may be told there to do without its optimiser.
    const { NODE_OPTIONS: _, ...env } = this.#options.env;
    try {
      const child = await children.start(process.execPath, [script], env);
      this.#take(child);
      if (this.#current !== undefined) this.#ask(child, this.#current);
      else this.#lieDown();
    } catch (error) {
      if (this.#current !== undefined) this.#current.isSecond = true;
      this.#failed(error);
    } finally {
      this.#isStarting = false;
    }
  }

  #take(child: Child): void {
    const running = { child, said: "" };
    this.#running = running;
    this.#output = [];
    child.stdout.on("data", (chunk: Buffer) => {
      if (this.#running === running) this.#heard(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => {
      running.said = (running.said + chunk.toString()).slice(0, MOST_SAID);
    });
    // Its streams may end before it does.
    const ended = () => {
      if (this.#running !== running) return;
      this.stop();
      this.#failed(new Error(`it ended${running.said === "" ? "" : `: ${inLine(running.said)}`}`));
    };
    child.stdout.once("close", ended);
    void child.exited.then(ended);
  }

  #heard(chunk: Buffer): void {
    this.#output.push(chunk);
    const length = this.#output.reduce((sum, { length: bytes }) => sum + bytes, 0);
    const job = this.#current;
    const wanted = job?.operation.output ?? 0;
    if (length > wanted || job === undefined) return this.#failed(new Error("it says what nobody asked"));
    if (length < wanted) return;
    const output = Buffer.concat(this.#output);
    this.#output = [];
    this.#deadline?.cancel();
    this.#current = undefined;
    job.done(output);
    this.#next();
  }

  // What was under way is tried once more in a new process; where none can be started, nothing is.
  #failed(error: unknown): void {
    this.stop();
    this.#deadline?.cancel();
    const job = this.#current;
    this.#current = undefined;
    if (job === undefined) return;
    if (!job.isSecond) {
      this.#jobs.unshift({ ...job, isSecond: true });
      return this.#next();
    }
    const why = `the process for post-quantum key exchange: ${messageOf(error)}`;
    this.#failure = { why, at: this.#options.clock.monotonic() };
    for (const each of [job, ...this.#jobs.splice(0)]) each.failed(new Error(why, { cause: error }));
  }

  #lieDown(): void {
    this.#rest?.cancel();
    this.#rest = this.#options.clock.after(REST_MS, () => {
      if (this.isIdle) this.stop();
    });
  }
}
