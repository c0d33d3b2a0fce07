// Taking a forward away: it stops accepting at once, and its master goes with it if it was there for nothing else.
import type { Forward } from "../forwards/forward.ts";
import type { House } from "./house.ts";

const DEADLINE_MS = 5000;

/** Cancels one; its established connections live on. Settles when its listener is gone, or after 5 s. */
export async function cancelForward(forward: Forward, { roster, clock, log }: House): Promise<void> {
  const master = roster.masters.find(({ forwards }) => forwards.includes(forward));
  if (master === undefined) return;
  log.info({ host: forward.host, forward: forward.id }, `cancelled ${forward.spec.text}`);
  // A frozen server must not hold up the answer: the forward is forgotten here either way.
  const patience = new Promise<void>((resolve) => clock.after(DEADLINE_MS, resolve));
  await Promise.race([master.cancel(forward), patience]);
  // Nothing was ever to be seen of it but that forward.
  if (master.state === "idle" && master.forwards.length === 0) master.exit();
}
