// The daemon's log: pino, to stderr, synchronously (a line is out before the process is). Secrets have names that are blanked.
import { pino, type DestinationStream } from "pino";
import type { Log } from "../shared/log.ts";
import type { Config } from "./config.ts";
import { journalStream } from "./journal.ts";
import type { Native } from "../shared/native/load.ts";

const SECRETS = ["password", "passphrase", "privateKey", "*.password", "*.passphrase", "*.privateKey"];
const STDERR = 2;

/** Makes the log. Loads what makes it pretty only when it is to be. */
export async function createLog(
  { logLevel, logFormat }: Pick<Config, "logLevel" | "logFormat">,
  native: Native | null,
): Promise<Log> {
  const options = {
    level: logLevel,
    redact: SECRETS,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  const destination = pino.destination({ dest: STDERR, sync: true });
  const streams = {
    json: () => destination,
    pretty: () => pretty(destination),
    journal: () => journalStream(native, destination),
  };
  return asLog(pino(options, await streams[logFormat]()));
}

// pino's own type has room for custom levels of any name, `then` among them: no promise may hold it.
const asLog = (log: Log): Log => log;

async function pretty(destination: DestinationStream): Promise<DestinationStream> {
  const { prettyFactory } = await import("pino-pretty");
  const format = prettyFactory({ colorize: false, translateTime: "SYS:HH:MM:ss", singleLine: true });
  return { write: (line) => destination.write(format(line)) };
}
