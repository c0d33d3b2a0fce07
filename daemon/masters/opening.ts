// Setting up forwards on a master that is ready: all of them or none.
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import { formatBind, type ForwardSpec } from "../../shared/forward-spec.ts";
import type { Log } from "../../shared/log.ts";
import { Forward } from "../forwards/forward.ts";
import { pointFor } from "../forwards/points.ts";
import type { SettledSpec } from "../forwards/settled.ts";
import type { ForwardingConfig } from "../ssh/forwarding-config.ts";
import { newId } from "./ids.ts";
import type { Master } from "./master.ts";
import { collides, isSame, settle } from "./selection.ts";

/** What is asked for. */
export interface Wanted {
  /** the host as its user named it */
  host: string;
  specs: readonly ForwardSpec[];
  /** what ssh_config says of that host's forwards, and the command line over it */
  forwarding: ForwardingConfig;
}

export interface Surroundings {
  /** the forwards of all masters */
  everywhere: () => readonly Forward[];
  clock: Clock;
  log: Log;
}

/**
 * Sets up forwards. One that stands already, or is being set up, is taken as it is. When one cannot be, those that were
 * made here are cancelled, but for those that somebody else was told of meanwhile.
 * @throws TundError why one could not be
 */
export async function openForwards(master: Master, wanted: Wanted, around: Surroundings): Promise<Forward[]> {
  const specs = wanted.specs.map((spec) => settle(spec, wanted.forwarding));
  const made: Forward[] = [];
  const opened: Forward[] = [];
  try {
    for (const spec of specs) {
      const standing = master.forwards.find((forward) => isSame(forward.spec, spec));
      const forward = standing ?? make(spec, wanted, master, around);
      if (standing === undefined) made.push(forward);
      await forward.listen();
      opened.push(forward);
    }
    refuseCancelled(opened);
    for (const forward of opened) forward.isPromised = true;
    return opened;
  } catch (error) {
    await Promise.all(made.filter((forward) => !forward.isPromised).map((forward) => master.cancel(forward)));
    throw error;
  }
}

// Somebody else's cancel, or the failure of the command that made one, may come between listening and the answer.
function refuseCancelled(opened: readonly Forward[]): void {
  const lost = opened.find((forward) => forward.state !== "active");
  if (lost !== undefined)
    throw new TundError(
      "BIND_FAILED",
      `${lost.spec.text} was cancelled, or lost its link, while it was being set up`,
    );
}

function make(
  spec: SettledSpec,
  { host, forwarding }: Wanted,
  master: Master,
  { everywhere, clock, log }: Surroundings,
): Forward {
  refuseTaken(spec, spec.kind === "remote" ? master.forwards : everywhere());
  const id = newId((candidate) => everywhere().some((forward) => forward.id === candidate));
  const { streamLocal, permits } = forwarding;
  const point = pointFor(spec, {
    openChannel: (from, to) => master.openChannel(from, to),
    listenThere: (bind, onOpen) => master.listen(bind, onOpen),
    streamLocal,
    permits,
    clock,
  });
  const forward = new Forward({
    id,
    host,
    spec,
    point,
    clock,
    log: log.child({ host, forward: id }),
    onConnectionEnd: () => master.connectionEnded(),
  });
  master.adopt(forward);
  return forward;
}

function refuseTaken(spec: SettledSpec, rivals: readonly Forward[]): void {
  const rival = rivals.find((forward) => collides(forward.spec, spec));
  if (rival === undefined) return;
  throw new TundError(
    "BIND_IN_USE",
    `cannot listen on ${formatBind(spec.bind)}: it is held by forward ${rival.id} (${rival.spec.text}) on ${rival.host}`,
    { details: { holder: rival.id } },
  );
}
