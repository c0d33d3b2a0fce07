// What a verb is, and what it is given to run with.
import type { Readable } from "node:stream";
import type { Given, Kind, Option } from "./args.ts";
import type { Native } from "../shared/native/load.ts";
import type { Client } from "./client.ts";
import type { ControlSocket } from "./control-socket.ts";

/** The part of a writable stream that tunctl uses. */
interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

/** stdout for bytes that are not ours to look at. */
export interface RawSink {
  /** Gives false when no more should be written until it is drained. */
  write(bytes: Buffer): boolean;
  onceDrained(run: () => void): void;
  /** Closes it once all is written, so that its reader sees the end while we go on. */
  end(): Promise<void>;
}

/** The caller's surroundings. main.ts makes it from `process`, the tests from plain values. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  readonly platform: NodeJS.Platform;
  readonly stdin: Readable & { readonly isTTY?: boolean | undefined };
  readonly stdout: Sink;
  /** stdout as bytes. */
  readonly rawStdout: RawSink;
  readonly stderr: Sink;
  /** Opens the controlling terminal: its descriptor, or null where there is none. */
  readonly openTerminal: () => number | null;
  /** This process, as others know it. */
  readonly pid: number;
  /** Calls `run` for every signal that asks for the end, which then does not come by itself. */
  readonly onSignal: (run: (signal: NodeJS.Signals) => void) => void;
  /** The compiled file, where there is one for this machine. */
  readonly native: Native | null;
  /** The descriptor that stdout is, to see whether anybody reads it; null where it is none. */
  readonly stdoutDescriptor: number | null;
  /** The paths of node itself and of the daemon. */
  readonly programs: { readonly node: string; readonly tund: string };
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
  /** Where the daemon is spoken to; with --wait, once it answers. */
  readonly daemon: () => Promise<ControlSocket>;
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
  /** What its positionals can be, in their order, as far as that can be known; the last holds for all that follow. */
  readonly takes?: readonly Kind[];
  /** Whether its -L, -R and -D name forwards that stand. */
  readonly namesStanding?: boolean;
  /** What else there is to say, with examples. */
  readonly help: string;
  /** Gives its exit code where it is not 0; what it throws says the code itself. */
  run(invocation: Invocation): Promise<number | void> | number | void;
}
