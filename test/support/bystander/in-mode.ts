// `npm run bystander` runs the tests with a bystander in every tund; here is where its daemons get one.
import { appendFileSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { type Bystander, BYSTANDER, makeProbe, type Station, startBystander } from "./bystander.ts";
import type { Seen } from "./waits.ts";

/** What the script leaves for the tests, as JSON in the file that TUND_TEST_BYSTANDER names. */
export interface Mode {
  station: Station;
  /** where records go, one a line */
  records: string;
  /** where the tests go, one a line */
  tests: string;
  /** the test files whose daemons get none, each with the reason */
  without: Readonly<Record<string, string>>;
}

/** One daemon's time. */
export interface DaemonRecord {
  file: string;
  /** milliseconds of the machine's monotonic clock */
  from: number;
  to: number;
  seen: Seen | null;
  /** why there was no bystander */
  without: string | null;
}

export interface Attachment {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  /** how many times as long as usual its start may take */
  patience: number;
  /** Adds the bystander to the tund that was started with the above. */
  started(socket: string): Promise<void>;
  /** Records what it saw; before tund is told to end. */
  ending(): Promise<void>;
  /** Takes the bystander out of what tunctl printed. */
  hide(text: string): string;
}

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

const none: Attachment = {
  argv: [],
  env: {},
  patience: 1,
  started: async () => undefined,
  ending: async () => undefined,
  hide: (text) => text,
};

/** What a daemon that is about to be started has to have for the mode; nothing when it is off. */
export async function attachment(isWithin: boolean): Promise<Attachment> {
  const given = process.env["TUND_TEST_BYSTANDER"];
  if (given === undefined) return none;
  const { station, records, without } = JSON.parse(readFileSync(given, "utf8")) as Mode;
  const file = expect.getState().testPath ?? "";
  const from = now();
  const record = (seen: Seen | null, why: string | null) => {
    const line: DaemonRecord = { file, from, to: now(), seen, without: why };
    appendFileSync(records, `${JSON.stringify(line)}\n`);
  };
  const reason = Object.entries(without).find(([name]) => file.endsWith(name))?.[1];
  if (reason !== undefined || isWithin) {
    record(null, reason ?? "this daemon is in another network, or is started by something else");
    return none;
  }
  const probe = await makeProbe();
  let bystander: Bystander | null = null;
  let isRecorded = false;
  return {
    argv: probe.argv,
    env: probe.env,
    patience: 4,
    started: async (socket) => {
      try {
        bystander = await startBystander(socket, probe.path, station);
      } catch (error) {
        record(null, (error as Error).message);
      }
    },
    ending: async () => {
      if (isRecorded) return;
      isRecorded = true;
      if (bystander !== null) record(await bystander.end(), null);
      await probe.remove();
    },
    hide: hidden,
  };
}

function hidden(text: string): string {
  if (!text.includes(BYSTANDER)) return text;
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    const others = Object.entries(value).map(([key, one]) => [key, Array.isArray(one) ? kept(one) : one]);
    return `${JSON.stringify(Object.fromEntries(others), undefined, 2)}\n`;
  } catch {
    return text.replaceAll(new RegExp(`^.*${BYSTANDER}.*\n?`, "gm"), ""); // a table, or a record a line
  }
}

const kept = (list: readonly unknown[]): unknown[] =>
  list.filter((one) => !JSON.stringify(one).includes(BYSTANDER));
