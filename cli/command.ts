// What a verb is, and what it is given to run with.
import type { Given, Option } from "./args.ts";
import type { Client } from "./client.ts";

/** The part of a writable stream that tunctl uses. */
interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

/** The caller's surroundings. main.ts makes it from `process`, the tests from plain values. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  readonly platform: NodeJS.Platform;
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The text of services(5). */
  readonly readServices: () => string;
}

/** One run of one verb. */
export interface Invocation {
  readonly context: Context;
  readonly given: readonly Given[];
  readonly positionals: readonly string[];
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Every verb there is, for `help`. */
  readonly commands: readonly Command[];
  readonly call: Client["call"];
}

/** A verb of tunctl as plain data, and what it does. */
export interface Command {
  readonly name: string;
  /** One line for the list of verbs. */
  readonly summary: string;
  /** What follows the verb's name. */
  readonly usage: string;
  /** What it takes beside the global options. */
  readonly options: readonly Option[];
  /** How many positionals it takes at most. */
  readonly most: number;
  /** What else there is to say, with examples. */
  readonly help: string;
  run(invocation: Invocation): Promise<void> | void;
}
