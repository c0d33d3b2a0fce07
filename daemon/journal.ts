// The log as journald takes it (systemd.journal-fields(7)): a datagram of fields a line, so that they can be searched for.
import type { Native } from "../shared/native/load.ts";

const JOURNAL = "/run/systemd/journal/socket";
/** syslog(3)'s, by the level's name. */
const priorities: Record<string, number> = { error: 3, warn: 4, info: 6, debug: 7 };

/**
 * Takes the log's JSON lines. Where a field cannot be sent (no compiled file, no journald), the line goes to stderr with
 * its priority in front (sd-daemon(3)), which journald reads too.
 */
export const journalStream = (
  native: Native | null,
  stderr: { write: (text: string) => void },
): { write: (line: string) => void } => ({
  write: (line) => {
    const record = JSON.parse(line) as Record<string, unknown>;
    const priority = priorities[String(record["level"])] ?? 6;
    try {
      if (native === null) throw new Error("it is not there");
      native.sendDatagram(JOURNAL, fieldsOf(record, priority), []);
    } catch {
      stderr.write(`<${priority}>${line}`);
    }
  },
});

function fieldsOf({ msg, host, ...rest }: Record<string, unknown>, priority: number): string {
  const fields: [string, unknown][] = [
    ["MESSAGE", host === undefined ? msg : `${plain(host)}: ${plain(msg)}`],
    ["PRIORITY", priority],
    ["SYSLOG_IDENTIFIER", "tund"],
    ...(host === undefined ? [] : ([["TUND_HOST", host]] as [string, unknown][])),
    ...Object.entries(rest)
      .filter(([name]) => name !== "level" && name !== "time") // the journal has its own
      .map(([name, value]): [string, unknown] => [`TUND_${name.toUpperCase()}`, value]),
  ];
  return fields.map(([name, value]) => `${name.replaceAll(/[^A-Z0-9_]/g, "_")}=${plain(value)}\n`).join("");
}

// A newline would begin another field.
const plain = (value: unknown): string =>
  (typeof value === "string" ? value : JSON.stringify(value)).replaceAll("\n", " ");
