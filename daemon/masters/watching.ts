// How everything is, or one host and its forwards, and then every change as it happens.
import type { Change, Forward as ForwardRecord, Master as MasterRecord } from "../../shared/records.ts";
import type { Journal, Listener } from "./journal.ts";
import type { Names } from "./names.ts";

/** How things were when the watching began, and what ends it. */
export interface Watch {
  masters: MasterRecord[];
  forwards: ForwardRecord[];
  stop: () => void;
}

/** Begins it. @throws TundError NOT_FOUND */
export function watch(
  host: string | undefined,
  { onChange, onEnd }: Listener,
  { journal, names }: { journal: Journal; names: Names },
): Watch {
  const isItsOwn = (name: string) => host === undefined || names.areOne(name, host);
  const onAnyChange = (change: Change) => {
    const concerned = change.type === "master" ? change.master.names : [change.forward.host];
    if (concerned.some(isItsOwn)) onChange(change);
  };
  const masters = host === undefined ? names.masters : [names.master(host)];
  const forwards = masters.flatMap((master) => master.forwards);
  const everywhere = names.masters.flatMap((master) => master.forwards);
  return {
    masters: masters.map((master) => master.snapshot()),
    forwards: forwards.map((forward) => forward.snapshot()),
    stop: journal.subscribe({ onChange: onAnyChange, onEnd }, names.masters, everywhere),
  };
}
