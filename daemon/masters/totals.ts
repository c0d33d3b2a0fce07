// What all forwards came to since the daemon began, those that are gone included: counters must never go back.
import type { ForwardKind } from "../../shared/forward-spec.ts";
import type { Forward } from "../forwards/forward.ts";

/** The connections of the forwards of one kind. */
export interface KindTotals {
  opened: number;
  /** by error code */
  failedBy: Record<string, number>;
  bytes: { in: number; out: number };
}

export type TotalsByKind = Record<ForwardKind, KindTotals>;

export class Totals {
  readonly #alive = new Set<Forward>();
  readonly #past: TotalsByKind = nothing();

  /** To be told of every change of a forward. One that has never listened has nothing to count: a placeholder never will. */
  note(forward: Forward): void {
    if (forward.state === "active") this.#alive.add(forward);
    else if (forward.state === "closed" && this.#alive.delete(forward)) add(this.#past, forward);
  }

  /** How it stands. */
  sum(): TotalsByKind {
    const sum = structuredClone(this.#past);
    for (const forward of this.#alive) add(sum, forward);
    return sum;
  }
}

const zero = (): KindTotals => ({ opened: 0, failedBy: {}, bytes: { in: 0, out: 0 } });
const nothing = (): TotalsByKind => ({ local: zero(), remote: zero(), dynamic: zero() });

function add(sum: TotalsByKind, { spec, totals }: Forward): void {
  const { opened, failedBy, bytes } = sum[spec.kind];
  sum[spec.kind].opened = opened + totals.opened;
  bytes.in += totals.bytes.in;
  bytes.out += totals.bytes.out;
  for (const [code, count] of totals.failedBy) failedBy[code] = (failedBy[code] ?? 0) + count;
}
