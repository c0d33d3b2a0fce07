// How everything is, or one host and its forwards, and then every change as it happens.
import type { Change, Forward as ForwardRecord, Master as MasterRecord } from "../../shared/records.ts";
import { inSlices } from "../slices.ts";
import type { Journal, Listener } from "./journal.ts";
import type { Names } from "./names.ts";
import type { Turns } from "../turns.ts";

/** How things were when the watching began, and what ends it. */
export interface Watch {
  masters: MasterRecord[];
  forwards: ForwardRecord[];
  stop: () => void;
}

/**
 * Begins it. Changes may be told before it settles: of what is in the records already, or is in none of them.
 * @throws TundError NOT_FOUND
 */
export async function watch(
  host: string | undefined,
  { onChange, onEnd }: Listener,
  { journal, names, slices }: { journal: Journal; names: Names; slices: Turns },
): Promise<Watch> {
  const isItsOwn = (name: string) => host === undefined || names.areOne(name, host);
  const all = host === undefined ? names.masters : [names.master(host)];
  const carried = all.flatMap((master) => master.forwards);
  // A change of what is not recorded yet will be in its record.
  const unseen = new Set<object>([...all, ...carried]);
  const onAnyChange = (change: Change, source: object) => {
    if (unseen.has(source)) return;
    const concerned = change.type === "master" ? change.master.names : [change.forward.host];
    if (concerned.some(isItsOwn)) onChange(change, source);
  };
  const stop = journal.subscribe({ onChange: onAnyChange, onEnd });
  const see = <Record extends MasterRecord | ForwardRecord>(source: { snapshot: () => Record }): Record => {
    unseen.delete(source);
    return journal.note(source);
  };
  const masters = await inSlices(slices, all, (master) => see(master));
  const forwards = await inSlices(slices, carried, (forward) => see(forward));
  return { masters: masters.filter(isThere), forwards: forwards.filter(isThere), stop };
}

// Something may have ended before its turn came.
const isThere = ({ state }: MasterRecord | ForwardRecord): boolean => state !== "closed";
