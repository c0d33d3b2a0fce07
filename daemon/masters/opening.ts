// Making forwards, and setting up those of one command: all of them or none.
import { TundError } from "../../shared/errors.ts";
import { formatBind, type ForwardSpec } from "../../shared/forward-spec.ts";
import { Forward, type Wishes } from "../forwards/forward.ts";
import type { FixedDestination } from "../forwards/local.ts";
import { openWhenLinked } from "../forwards/outbound.ts";
import { Parking } from "../forwards/parking.ts";
import { pointFor } from "../forwards/points.ts";
import type { SettledSpec } from "../forwards/settled.ts";
import type { House } from "./house.ts";
import type { Originator } from "../ssh/channel.ts";
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
  wishes: Wishes;
  /** what the user calls it: for one forward alone */
  name: string | null;
  /** whether they come back when the daemon does */
  isPersistent: boolean;
  /** whether to wait until they listen; if not, they are tried until they do */
  isAwaited: boolean;
  /** rejects when nobody waits any longer */
  deadline?: Promise<never>;
}

/**
 * Sets up forwards. One that stands already, or is being set up, is taken as it is. When one cannot be, those that were
 * made here are cancelled, but for those that somebody else was told of meanwhile.
 * @throws TundError why one could not be
 */
export async function openForwards(master: Master, wanted: Wanted, house: House): Promise<Forward[]> {
  const specs = wanted.specs.map((spec) => settle(spec, wanted.forwarding));
  const made: Forward[] = [];
  const opened: Forward[] = [];
  const undo = intentions(opened);
  const isPersistent = wanted.isPersistent && master.held === null;
  try {
    for (const spec of specs) {
      const standing = master.forwards.find((forward) => isSame(forward.spec, spec));
      refuseName(wanted.name, standing, house.everywhere());
      const forward = standing ?? makeNew(spec, wanted, master, house);
      if (standing === undefined) made.push(forward);
      if (wanted.isAwaited) await before(wanted.deadline, forward.listen());
      opened.push(forward);
    }
    if (wanted.isAwaited) refuseCancelled(opened);
    undo.intend({ ...wanted, isPersistent });
    // One that is kept already, and is given another name by a command that keeps nothing itself, is saved too.
    const isRenamed = wanted.name !== null && opened.some((forward) => forward.isPersistent);
    if (isPersistent || isRenamed) await house.desired.save();
  } catch (error) {
    undo.revert();
    await Promise.all(made.filter((forward) => !forward.isPromised).map((forward) => master.cancel(forward)));
    throw error;
  }
  for (const forward of opened) promise(forward, master);
  for (const forward of opened) house.onChange(forward); // its name, or whether it is kept
  return opened;
}

const before = (deadline: Promise<never> | undefined, done: Promise<void>): Promise<void> =>
  deadline === undefined ? done : Promise.race([done, deadline]);

/** From now on the forward is there, whatever becomes of others: it is tried until it listens. */
export function promise(forward: Forward, master: Master): void {
  forward.isPromised = true;
  const isTurn = forward.spec.kind !== "remote" || master.state === "ready"; // else the next link brings it
  if (forward.state === "pending" && isTurn) forward.listenInTime();
  else forward.retryLater();
}

// What a command wants of forwards may have to be taken back, those that stood before included.
function intentions(forwards: readonly Forward[]) {
  let was: { forward: Forward; name: string | null; isPersistent: boolean }[] = [];
  return {
    intend({ name, isPersistent }: Wanted): void {
      was = forwards.map((forward) => ({ forward, name: forward.name, isPersistent: forward.isPersistent }));
      for (const forward of forwards) {
        forward.name = name ?? forward.name;
        forward.isPersistent ||= isPersistent;
      }
    },
    revert(): void {
      for (const { forward, ...intent } of was) Object.assign(forward, intent);
    },
  };
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

function refuseName(name: string | null, itself: Forward | undefined, all: readonly Forward[]): void {
  const rival = all.find((forward) => forward !== itself && (forward.name === name || forward.id === name));
  if (name === null || rival === undefined) return;
  throw new TundError(
    "NAME_IN_USE",
    `${name} is the name of another forward, ${rival.id} (${rival.spec.text}) on ${rival.host}`,
  );
}

function makeNew(spec: SettledSpec, wanted: Wanted, master: Master, house: House): Forward {
  const { host, forwarding, wishes } = wanted;
  refuseTaken(spec, spec.kind === "remote" ? master.forwards : house.everywhere());
  const id = newId((candidate) =>
    house.everywhere().some((forward) => forward.id === candidate || forward.name === candidate),
  );
  return makeForward({ id, host, spec, forwarding, wishes, allocatedPort: null }, master, house);
}

/** What makes up a forward. */
export interface Making {
  id: string;
  host: string;
  spec: SettledSpec;
  forwarding: ForwardingConfig;
  wishes: Wishes;
  allocatedPort: number | null;
}

/** Makes a forward and gives it into its master's care; it does not listen yet. @throws TundError MASTER_CLOSING */
export function makeForward(
  { forwarding, ...making }: Making,
  master: Master,
  { clock, log, onChange, keeper, admits, parking: limits }: Omit<House, "roster" | "desired" | "everywhere">,
): Forward {
  const { streamLocal, permits } = forwarding;
  const parking = new Parking(limits, clock);
  const link = {
    outlook: () => master.outlook,
    want: () => master.want(),
    openChannel: async (from: Originator, to: FixedDestination) => master.live().openChannel(from, to),
  };
  const point = pointFor(making.spec, {
    openChannel: (from, to, socket) => openWhenLinked({ link, parking, clock }, from, to, socket),
    listenThere: async (bind, onOpen) => master.live().listen(bind, onOpen),
    streamLocal,
    keeper,
    admits,
    permits,
    clock,
  });
  const forward = new Forward({
    ...making,
    point,
    parking,
    clock,
    log: log.child({ host: making.host, forward: making.id }),
    onConnectionEnd: () => master.connectionEnded(),
    onChange,
  });
  master.adopt(forward);
  onChange(forward);
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
