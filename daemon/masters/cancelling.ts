// Taking forwards and masters away, when it is saved that nobody wants them any longer. Another command may have wanted
// something of them while that was saved, or a host that was being restored have got its true master: so it is looked again.
import type { Forward } from "../forwards/forward.ts";
import type { House } from "./house.ts";
import type { Master } from "./master.ts";

const DEADLINE_MS = 5000;

/** Cancels one; its established connections live on. Settles when its listener is gone, or after 5 s. */
export async function cancelForward(forward: Forward, { roster, clock, log }: House): Promise<void> {
  const master = roster.masters.find(({ forwards }) => forwards.includes(forward));
  if (master === undefined) return;
  log.info({ host: forward.host, forward: forward.id }, `cancelled ${forward.spec.text}`);
  // A frozen server must not hold up the answer: the forward is forgotten here either way.
  const patience = new Promise<void>((resolve) => clock.after(DEADLINE_MS, resolve));
  await Promise.race([master.cancel(forward), patience]);
  roster.release(master); // if nothing was ever to be seen of it but that forward
}

/**
 * Cancels forwards; their established connections live on, for `drainSeconds` if that is given.
 * @throws TundError STATE_NOT_SAVED, and all is as it was
 */
export async function cancelChosen(
  chosen: readonly Forward[],
  drainSeconds: number | undefined,
  house: House,
): Promise<Forward[]> {
  const { desired, clock } = house;
  const current = () => chosen.map((one) => house.everywhere().find(({ id }) => id === one.id) ?? one);
  let forwards = current();
  while (desired.wants({ forwards })) {
    await desired.forget({ forwards });
    forwards = current();
  }
  await Promise.all(forwards.map((forward) => cancelForward(forward, house)));
  if (drainSeconds !== undefined)
    clock.after(drainSeconds * 1000, () => forwards.forEach((forward) => forward.dropConnections()));
  return forwards;
}

/** Ends a host's master in one way or another. @throws TundError NOT_FOUND; STATE_NOT_SAVED, and all is as it was */
export async function endMaster(
  host: string,
  end: (master: Master) => void,
  { roster, desired }: House,
): Promise<Master> {
  let { master } = roster.names.known(host);
  for (;;) {
    const dropped = { forwards: master.forwards, names: roster.names.of(master) };
    if (!desired.wants(dropped)) break;
    await desired.forget(dropped);
    master = roster.names.get(host)?.master ?? master;
  }
  end(master);
  return master;
}
