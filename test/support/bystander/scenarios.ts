// Which test a wait belongs to.
import type { DaemonRecord } from "./in-mode.ts";
import { type Seen, type Worst, worstOf } from "./waits.ts";

/** One test; moments in milliseconds of the wall clock, as vitest has them. */
export interface TestRecord {
  file: string;
  /** its names and its suites', with spaces between them */
  name: string;
  from: number;
  to: number;
  /** the first line of why it failed, if it did */
  failure: string | null;
}

export interface Scenario {
  file: string;
  /** null for what was outside every test: setting up, and taking down */
  name: string | null;
  worst: Worst;
  /** bytes that were sent in it */
  hasBystander: boolean;
  /** why nothing, or not all, is known */
  unknown: string | null;
  failure: string | null;
}

const NONE: Worst = { excess: 0, wait: null, turn: null };

const worse = (a: Worst, b: Worst): Worst => ({
  ...(a.excess >= b.excess ? a : b),
  turn: (a.turn?.ms ?? 0) >= (b.turn?.ms ?? 0) ? a.turn : b.turn,
});

/** @param offset what to add to a moment of the wall clock to have one of the monotonic clock */
export function scenariosOf(
  tests: readonly TestRecord[],
  daemons: readonly DaemonRecord[],
  offset: number,
): Scenario[] {
  return [...new Set(tests.map(({ file }) => file))].flatMap((file) => {
    const own = tests
      .filter((test) => test.file === file)
      .map((test) => ({ ...test, from: test.from + offset, to: test.to + offset }));
    const there = daemons.filter((daemon) => daemon.file === file);
    return [...own.map((test) => scenarioOf(test, there)), outside(file, own, there)];
  });
}

function scenarioOf(test: TestRecord, daemons: readonly DaemonRecord[]): Scenario {
  const there = daemons.filter(({ from, to }) => to >= test.from && from <= test.to);
  const seen = there.flatMap(({ seen: one }) => one ?? []);
  const worst = seen.map((one) => worstOf(one, Math.max(test.from, one.from), test.to)).reduce(worse, NONE);
  return {
    file: test.file,
    name: test.name,
    worst,
    hasBystander: seen.length > 0,
    unknown: reasons(there),
    failure: test.failure,
  };
}

function outside(file: string, tests: readonly TestRecord[], daemons: readonly DaemonRecord[]): Scenario {
  const isWithin = (from: number, to: number) => tests.some((test) => to >= test.from && from <= test.to);
  const seen = daemons.flatMap(({ seen: one }) => one ?? []);
  const rest = seen.map((one): Seen => ({
    ...one,
    waits: one.waits.filter(({ sent, ms }) => !isWithin(sent, sent + ms)),
    turns: one.turns.filter(({ start, end }) => !isWithin(start, end)),
  }));
  const worst = rest.map((one) => worstOf(one)).reduce(worse, NONE);
  return { file, name: null, worst, hasBystander: seen.length > 0, unknown: null, failure: null };
}

function reasons(daemons: readonly DaemonRecord[]): string | null {
  const why = daemons.flatMap(({ without, seen }) => without ?? seen?.unknown ?? []);
  if (why.length > 0) return [...new Set(why)].join("; ");
  return daemons.length === 0 ? "it starts no tund by test/support/daemon.ts" : null;
}
