// Making forwards, and setting up those of one command: all of them or none.
import { TundError } from "../../shared/errors.ts";
import { formatBind, type ForwardSpec } from "../../shared/forward-spec.ts";
import { Forward, type Wishes } from "../forwards/forward.ts";
import type { FixedDestination } from "../forwards/local.ts";
import { openWhenLinked } from "../forwards/outbound.ts";
import { Parking } from "../forwards/parking.ts";
import { pointFor } from "../forwards/points.ts";
import type { SettledSpec } from "../forwards/settled.ts";
import { cancelForward } from "./cancelling.ts";
import type { House } from "./house.ts";
import type { Originator } from "../ssh/channel.ts";
import type { ForwardingConfig } from "../ssh/forwarding-config.ts";
import { newId } from "./ids.ts";
import type { Master } from "./master.ts";
import type { Named } from "./names.ts";
import { collides, isSame, settle } from "./selection.ts";
import type { Transaction } from "./transaction.ts";

/** What is asked for. */
export interface Wanted {
  specs: readonly ForwardSpec[];
  wishes: Wishes;
  /** what the user calls it: for one forward alone */
  name: string | null;
  /** whether they come back when the daemon does */
  isPersistent: boolean;
  /** whether to wait until they listen; if not, they are tried until they do */
  isAwaited: boolean;
}

/**
 * Sets up forwards. One that stands already, or is being set up, is taken as it is. When the command is not answered in
 * the end, those that nobody else asked for are cancelled.
 * @throws TundError why one could not be
 */
export async function openForwards(
  named: Named,
  wanted: Wanted,
  house: House,
  transaction: Transaction,
): Promise<Forward[]> {
  const { host, forwarding } = named;
  const settings = { ...forwarding, gatewayPorts: wanted.wishes.gatewayPorts || forwarding.gatewayPorts };
  const specs = wanted.specs.map((spec) => settle(spec, settings));
  const { name, wishes } = wanted;
  const isPersistent = wanted.isPersistent && named.master.held === null;
  const opened: Forward[] = [];
  for (const spec of specs) {
    const { master } = named; // another one than a moment ago, where ssh_config says so
    const standing = master.forwards.find((forward) => isSame(forward.spec, spec));
    refuseName(name, standing, house.everywhere());
    const making = { host, spec, forwarding: settings, wishes, allocatedPort: null };
    const forward = standing ?? makeNew(making, master, house);
    claim(forward, named, house, transaction);
    if (wanted.isAwaited) await transaction.wait(forward.listen());
    opened.push(forward);
  }
  if (wanted.isAwaited) refuseCancelled(opened);
  transaction.check();
  for (const forward of opened) {
    refuseName(name, forward, house.everywhere());
    forward.intent.claim(transaction, {
      ...(name !== null && { name }),
      ...(isPersistent && { isPersistent }),
    });
  }
  // One that is kept already, and is given another name by a command that keeps nothing itself, is saved too.
  const isRenamed = name !== null && opened.some((forward) => forward.isPersistent);
  if (isPersistent || isRenamed) await transaction.wait(house.desired.save());
  for (const forward of opened) house.onChange(forward); // its name, or whether it is kept
  return opened;
}

// A command needs a forward: from its answer on it is there, and if there is none it goes with the last such command.
function claim(forward: Forward, named: Named, house: House, transaction: Transaction): void {
  const { intent } = forward;
  intent.claim(transaction, { isPromised: true });
  transaction.enlist({
    check: () => refuseGone(forward, named.master),
    commit: () => {
      intent.commit(transaction);
      const { master } = named;
      if (master.forwards.includes(forward)) promise(forward, master);
    },
    rollback: () => {
      intent.rollback(transaction);
      if (intent.isClaimed || intent.value.isPromised) return house.onChange(forward);
      forward.dropConnections();
      const { state } = forward;
      const cancelled = cancelForward(forward, house);
      // Whoever did not wait for it to listen does not wait for the end of that either.
      return state === "pending" ? undefined : cancelled;
    },
  });
}

/** From now on the forward is there, whatever becomes of others: it is tried until it listens. */
export function promise(forward: Forward, master: Master): void {
  forward.intent.settle({ isPromised: true });
  const isTurn = forward.spec.kind !== "remote" || master.state === "ready"; // else the next link brings it
  if (forward.state === "pending" && isTurn) forward.listenInTime();
  else forward.retryLater();
}

// Somebody else's cancel, or the end of the link, may come between listening and the answer.
function refuseCancelled(opened: readonly Forward[]): void {
  const lost = opened.find((forward) => forward.state !== "active");
  if (lost !== undefined) throw cancelledMeanwhile(lost);
}

function refuseGone(forward: Forward, master: Master): void {
  if (!master.forwards.includes(forward)) throw cancelledMeanwhile(forward);
}

const cancelledMeanwhile = ({ spec }: Forward): TundError =>
  new TundError("BIND_FAILED", `${spec.text} was cancelled, or lost its link, while it was being set up`);

function refuseName(name: string | null, itself: Forward | undefined, all: readonly Forward[]): void {
  const rival = all.find((forward) => forward !== itself && (forward.name === name || forward.id === name));
  if (name === null || rival === undefined) return;
  throw new TundError(
    "NAME_IN_USE",
    `${name} is the name of another forward, ${rival.id} (${rival.spec.text}) on ${rival.host}`,
  );
}

function makeNew(making: Omit<Making, "id">, master: Master, house: House): Forward {
  refuseTaken(making.spec, making.spec.kind === "remote" ? master.forwards : house.everywhere());
  const id = newId((candidate) =>
    house.everywhere().some((forward) => forward.id === candidate || forward.name === candidate),
  );
  return makeForward({ id, ...making }, master, house);
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
  { parking: limits, ...house }: Omit<House, "roster" | "desired" | "everywhere">,
): Forward {
  const { clock, log, onChange, keeper, admits, files, resolver } = house;
  const { streamLocal, permits } = forwarding;
  const parking = new Parking(limits, clock);
  let bearer = master;
  const link = {
    outlook: () => bearer.outlook,
    want: () => bearer.want(),
    openChannel: async (from: Originator, to: FixedDestination) => bearer.live().openChannel(from, to),
  };
  const point = pointFor(making.spec, {
    openChannel: (from, to, socket) => openWhenLinked({ link, parking, clock }, from, to, socket),
    listenThere: async (bind, onOpen) => bearer.live().listen(bind, onOpen),
    streamLocal,
    keeper,
    admits,
    files,
    resolver,
    permits,
    clock,
  });
  const forward = new Forward({
    ...making,
    point,
    parking,
    clock,
    log: log.child({ host: making.host, forward: making.id }),
    onConnectionEnd: () => bearer.connectionEnded(),
    onChange,
  });
  master.adopt(forward, (to) => (bearer = to));
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
