// The log as journald takes it (systemd.journal-fields(7)): a datagram of fields a line, so that they can be searched for.
import type { Native } from "../../shared/native/load.ts";
import { visibleJson, visibleLine } from "../../shared/visible.ts";
import { codeOf, type Done, type Sink } from "./sink.ts";

/** Where journald listens. */
const JOURNAL = "/run/systemd/journal/socket";
/** syslog(3)'s, by the level's name. */
const priorities = new Map([
  ["error", 3],
  ["warn", 4],
  ["info", 6],
  ["debug", 7],
]);

/**
 * Takes the log's JSON lines. Where a field cannot be sent (no compiled file, no journald), the line goes to stderr with
 * its priority in front (sd-daemon(3)), which journald reads too. Where journald is behind, it is waited for.
 */
export function journalSink(native: Pick<Native, "sendDatagram"> | null, stderr: Sink, path = JOURNAL): Sink {
  const send = (bytes: Buffer, done: Done, elsewhere: Sink["write"]): void => {
    // What is left of a line that stderr has begun.
    if (bytes[0] !== BRACE) return elsewhere(bytes, done);
    const line = bytes.toString();
    const record = JSON.parse(line) as Record<string, unknown>;
    const priority = priorities.get(String(record["level"])) ?? 6;
    try {
      if (native === null) throw new Error("it is not there");
      native.sendDatagram(path, fieldsOf(record, priority), []);
    } catch (error) {
      if (codeOf(error) === "EAGAIN") return done("EAGAIN", 0);
      return elsewhereWithPriority(elsewhere, `<${priority}>`, { bytes, done });
    }
    return done(null, bytes.length);
  };
  return {
    share: 0,
    write: (bytes, done) => send(bytes, done, (rest, told) => stderr.write(rest, told)),
    writeLast: (bytes, done) => send(bytes, done, (rest, told) => stderr.writeLast(rest, told)),
  };
}

const BRACE = "{".charCodeAt(0);

// What is taken is counted without the priority. A line that is cut short within it is begun again.
function elsewhereWithPriority(
  elsewhere: Sink["write"],
  priority: string,
  { bytes, done }: { bytes: Buffer; done: Done },
): void {
  elsewhere(Buffer.concat([Buffer.from(priority), bytes]), (code, written) =>
    done(code, Math.max(0, written - priority.length)),
  );
}

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

// A newline would begin another field, and what journalctl shows is read at a terminal.
const plain = (value: unknown): string =>
  typeof value === "string" ? visibleLine(value) : visibleJson(value, 0);
