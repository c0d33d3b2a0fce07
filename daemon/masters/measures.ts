// What there is to be measured of all masters and forwards.
import type { ForwardKind } from "../../shared/forward-spec.ts";
import type { Master as MasterRecord } from "../../shared/records.ts";
import type { ForwardState } from "../forwards/state.ts";
import { inSlices } from "../slices.ts";
import type { Turns } from "../turns.ts";
import type { Master } from "./master.ts";
import type { Roster } from "./roster.ts";
import type { MasterState } from "./state.ts";
import type { Totals, TotalsByKind } from "./totals.ts";

/** How many there are of everything. */
export interface Tally {
  masters: Record<MasterState, number>;
  forwards: Record<ForwardKind, { states: Record<ForwardState, number>; open: number; parked: number }>;
}

export class Measures {
  readonly #roster: Pick<Roster, "masters">;
  readonly #totals: Pick<Totals, "sum">;
  readonly #slices: Turns;

  constructor(roster: Pick<Roster, "masters">, totals: Pick<Totals, "sum">, slices: Turns) {
    this.#roster = roster;
    this.#totals = totals;
    this.#slices = slices;
  }

  /** All of it, and the first `mostHosts` masters each by itself. */
  async figures(mostHosts: number): Promise<Tally & { hosts: MasterRecord[]; totals: TotalsByKind }> {
    const first = this.#roster.masters.slice(0, mostHosts);
    const hosts = await inSlices(this.#slices, first, (master) => master.snapshot());
    return { ...this.tally(), hosts, totals: this.#totals.sum() };
  }

  /** How many there are of everything. */
  tally(): Tally {
    return tallyOf(this.#roster.masters);
  }

  /** Where forwards listen that come back when the daemon does. */
  keptListeners(): string[] {
    const forwards = this.#roster.masters.flatMap((master) => master.forwards);
    return forwards.flatMap(({ isPersistent, boundTo }) => (isPersistent ? boundTo : []));
  }
}

// In one pass, and nothing is copied: it is asked for every few seconds, and there may be thousands.
function tallyOf(all: readonly Master[]): Tally {
  const tally: Tally = {
    masters: {
      idle: 0,
      connecting: 0,
      ready: 0,
      waiting: 0,
      blocked: 0,
      failed: 0,
      closing: 0,
      closed: 0,
    },
    forwards: { local: noForwards(), remote: noForwards(), dynamic: noForwards() },
  };
  for (const master of all) {
    tally.masters[master.state]++;
    for (const { spec, state, open, parked } of master.forwards) {
      const kind = tally.forwards[spec.kind];
      kind.states[state]++;
      kind.open += open;
      kind.parked += parked;
    }
  }
  return tally;
}

const noForwards = () => ({
  states: { pending: 0, active: 0, failed: 0, closing: 0, closed: 0 },
  open: 0,
  parked: 0,
});
