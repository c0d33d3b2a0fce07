// The daemon's log: pino, to stderr, in lines that are bounded in size and number. Secrets have names that are blanked.
import { clipped } from "../shared/clipped.ts";
import { type Logger, pino } from "pino";
import type { Clock } from "../shared/clock.ts";
import { TundError } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import { visibleInJson, visibleLine, visibleLines } from "../shared/visible.ts";
import type { Native } from "../shared/native/load.ts";
import type { Config } from "./config.ts";
import { MOST_TEXT, errorRecord } from "./logging/error-record.ts";
import { journalSink } from "./logging/journal.ts";
import { type LogHealth, LogQueue } from "./logging/queue.ts";
import { Repeats } from "./logging/repeats.ts";
import { descriptorSink } from "./logging/sink.ts";

const SECRETS = ["password", "passphrase", "privateKey", "*.password", "*.passphrase", "*.privateKey"];
const STDERR = 2;

export interface Logging {
  log: Log;
  /** How many lines were lost, and why. */
  health(): LogHealth;
  /** To be called before the process ends: writes what is left, as far as that can be done at once. */
  flush(): void;
}

/** Makes the log. Loads what makes it pretty only when it is to be. */
export async function createLog(
  { logLevel, logFormat }: Pick<Config, "logLevel" | "logFormat">,
  { native, clock }: { native: Native | null; clock: Clock },
): Promise<Logging> {
  const options = {
    level: logLevel,
    redact: SECRETS,
    base: null,
    serializers: { err: (record: unknown) => record }, // it is one already
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  const stderr = descriptorSink(STDERR, native);
  const sink = logFormat === "journal" ? journalSink(native, stderr) : stderr;
  const onLost = (lines: number, why: string): void =>
    log.warn({ lost: lines }, `${lines} lines of the log were lost: ${why}`);
  const queue = new LogQueue({ sink, clock, onLost });
  const repeats = new Repeats(clock);
  const format = logFormat === "pretty" ? await prettyFormat() : visibleInJson;
  const write = (line: string): void => queue.write(format(line));
  const log = new BoundedLog(pino(options, { write }), { repeats, faults: new WeakSet() });
  return {
    log,
    health: () => queue.health,
    flush: () => {
      repeats.settle();
      queue.flush();
    },
  };
}

async function prettyFormat(): Promise<(line: string) => string> {
  const { prettyFactory } = await import("pino-pretty");
  const format = prettyFactory({ colorize: false, translateTime: "SYS:HH:MM:ss", singleLine: true });
  // What a server or a client said is in it, and it is read at a terminal.
  return (line) => visibleLines(format(oneLined(line)));
}

// A newline in a message must not look like the next line.
function oneLined(line: string): object {
  const record = JSON.parse(line) as Record<string, unknown>;
  return { ...record, msg: typeof record["msg"] === "string" ? visibleLine(record["msg"]) : record["msg"] };
}

/** What a log and its children have in common. */
interface Common {
  repeats: Repeats;
  /** what was written as a fault already */
  faults: WeakSet<object>;
}

type Level = "debug" | "info" | "warn" | "error";

class BoundedLog implements Log {
  readonly #pino: Logger;
  readonly #common: Common;
  /** what its lines have in common, for what is alike */
  readonly #own: string;

  constructor(logger: Logger, common: Common, own = "") {
    this.#pino = logger;
    this.#common = common;
    this.#own = own;
  }

  // Not bounded in number: who asks for it wants to see each of them.
  debug(fields: object, message: string): void {
    if (this.#pino.isLevelEnabled("debug")) this.#write("debug", fields, message);
  }

  info(fields: object, message: string): void {
    this.#limited("info", fields, message);
  }

  warn(fields: object, message: string): void {
    this.#limited("warn", fields, message);
  }

  error(fields: object, message: string): void {
    this.#limited("error", fields, message);
  }

  fault(error: unknown): void {
    const root = error instanceof TundError && error.cause !== undefined ? error.cause : error;
    if (typeof root === "object" && root !== null) {
      if (this.#common.faults.has(root)) return;
      this.#common.faults.add(root);
    }
    this.error({ err: root }, "tund failed inside");
  }

  child(fields: Record<string, unknown>): Log {
    return new BoundedLog(this.#pino.child(told(fields)), this.#common, `${this.#own}|${kindOf(fields)}`);
  }

  #limited(level: Exclude<Level, "debug">, fields: object, message: string): void {
    if (!this.#pino.isLevelEnabled(level)) return;
    const key = `${level}${this.#own}|${kindOf(fields)}|${clipped(message, MOST_TEXT)}`;
    const tell = (more: number): void =>
      this.#write(level, { ...fields, more }, `${message} (${more} more like this)`);
    if (this.#common.repeats.admits(key, tell)) this.#write(level, fields, message);
  }

  #write(level: Level, fields: object, message: string): void {
    this.#pino[level](told(fields), clipped(message, MOST_TEXT));
  }
}

// What makes two lines of one message tell of two things.
function kindOf(fields: object): string {
  const { host, forward, code, err } = fields as Record<string, unknown>;
  const what = err instanceof Error ? err.message : "";
  return [host, forward, code, what].map((each) => (typeof each === "string" ? each : "")).join("|");
}

function told(fields: object): Record<string, unknown> {
  const bounded: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields))
    if (typeof value === "string") bounded[name] = clipped(value, MOST_TEXT);
    else if (value !== undefined)
      bounded[name] =
        value instanceof Error || name === "err" || name === "cause" ? errorRecord(value) : value;
  return bounded;
}

/** Says something on stderr, as far as that can be done without waiting. */
export const sayOnStderr = (text: string): void =>
  descriptorSink(STDERR, null).writeLast(Buffer.from(text), () => undefined);
