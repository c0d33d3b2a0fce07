// Whether a bystander waited: what its bytes waited longer than a control's in the same second.

/** How one line of ticks went; moments and times in milliseconds of the machine's monotonic clock. */
export interface Lane {
  ticks: number;
  /** the longest wait that reached into each second */
  worst: Readonly<Record<string, number>>;
  /** each wait over 20 ms */
  waits: readonly { sent: number; ms: number }[];
  /** when its connection ended, if it did before the end */
  ended: number | null;
}

export interface Wait {
  sent: number;
  ms: number;
  /** the control's longest in the same seconds */
  control: number;
  /** how much of it tund could have run and had no processor */
  delay: number;
  /** what it is longer than those two; a control that is late itself counts twice */
  excess: number;
}

/** A turn of tund's event loop that took 20 ms or more. */
export interface Turn {
  start: number;
  end: number;
  /** its length, less how long tund had to wait for a processor */
  ms: number;
  /** the processor time of the process meanwhile: where it is much less, tund's loop was blocked */
  cpuMs: number;
  /** false when it went on when it was looked at */
  isOver: boolean;
  /** the stack in which most of it went */
  ran: string;
}

/** What came of one daemon's time. */
export interface Seen {
  /** when the ticks began */
  from: number;
  ticks: number;
  waits: readonly Wait[];
  turns: readonly Turn[];
  /** why nothing is known of its turns, if so */
  unknown: string | null;
}

/** The worst of it. */
export interface Worst {
  excess: number;
  /** the wait that it is of, if any was over 20 ms */
  wait: Wait | null;
  turn: Turn | null;
}

/** How much longer than the control a bystander may wait, in milliseconds. */
export const LIMIT_MS = 200;

const RUNS = 3;
const SEEN_TWICE = 2;

/** [moment, how long tund's thread had waited for a processor until then], both in milliseconds, in order. */
export type Delays = readonly (readonly [number, number])[];

/**
 * The waits of one lane, each beside the longest wait that any control had in the same seconds. A control that does little
 * is given a processor at once where a tund that does much is not: what the kernel made tund wait is taken off as well.
 */
export const besideControls = (lane: Lane, controls: readonly Lane[], delays: Delays): Wait[] =>
  lane.waits.map(({ sent, ms }) => {
    let control = 0;
    for (let second = Math.floor(sent / 1000); second <= Math.floor((sent + ms) / 1000); second++)
      control = Math.max(control, ...controls.map(({ worst }) => worst[second] ?? 0));
    const delay = delayWithin(delays, sent, sent + ms);
    return { sent, ms, control, delay, excess: ms - unsure(control) - delay };
  });

// A bystander's byte passes through four processes where the control's passes through two: where those wait longer than the
// limit, the machine is so busy that the other two may have to as well.
const unsure = (control: number): number => (control > LIMIT_MS ? 2 * control : control);

/** How long tund's thread waited for a processor between two moments. */
export const delayWithin = (delays: Delays, from: number, to: number): number =>
  delayAt(delays, to) - delayAt(delays, from);

function delayAt(delays: Delays, moment: number): number {
  const next = delays.findIndex(([at]) => at >= moment);
  const [toAt, to] = delays.at(next) ?? [0, 0];
  const [fromAt, from] = delays[next - 1] ?? [toAt, to];
  return next <= 0 || toAt === fromAt ? to : from + ((to - from) * (moment - fromAt)) / (toAt - fromAt);
}

/** The worst wait, and the longest turn, from `from` to `to`. */
export function worstOf({ waits, turns, from: began }: Seen, from = began, to = Infinity): Worst {
  const within = waits.filter(({ sent, ms }) => sent + ms >= from && sent <= to);
  const wait = within.reduce<Wait | null>(
    (worst, one) => (one.excess > (worst?.excess ?? 0) ? one : worst),
    null,
  );
  const turn = turns
    .filter(({ start, end }) => start >= began && end >= from && start <= to)
    .reduce<Turn | null>((longest, one) => (one.ms > (longest?.ms ?? 0) ? one : longest), null);
  return { excess: wait?.excess ?? 0, wait, turn };
}

/**
 * Runs a scenario until it is decided: a machine that was busy for a moment is told from a daemon that is late each time by
 * doing it again. It fails when a bystander was late in two of at most three runs.
 */
export async function decided(
  run: (run: number) => Promise<Worst>,
): Promise<{ isLate: boolean; runs: Worst[] }> {
  const runs: Worst[] = [];
  const late = () => runs.filter(({ excess }) => excess > LIMIT_MS).length;
  while (runs.length < RUNS) {
    runs.push(await run(runs.length));
    const left = RUNS - runs.length;
    if (late() >= SEEN_TWICE || late() + left < SEEN_TWICE) break;
    // The first that is in time is enough; after one that is late, both others are.
    if (late() === 0) break;
  }
  return { isLate: late() >= SEEN_TWICE, runs };
}

/** One line: how late, which turn was the longest, and what ran in it. */
export function told({ excess, wait, turn }: Worst, unknown: string | null = null): string {
  const { ms = 0, control = 0, delay = 0 } = wait ?? {};
  const parts = `waited ${ms.toFixed(0)}, control ${control.toFixed(0)}, without a processor ${delay.toFixed(0)}`;
  const waited = `bystander ${excess.toFixed(0)} ms too late (${parts})`;
  if (unknown !== null) return `${waited}; turns: ${unknown}`;
  if (turn === null) return `${waited}; no turn of 20 ms`;
  const length = `${Math.max(turn.ms, 0).toFixed(0)} ms${turn.isOver ? "" : " and going on"}`;
  return `${waited}; longest turn ${length} (${turn.cpuMs.toFixed(0)} ms of processor): ${turn.ran}`;
}
