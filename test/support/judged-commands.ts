// Whether what commands that overlapped have left behind is what was acknowledged, and nothing else.
import { isOver } from "../../daemon/masters/state.ts";
import type { SavedHost } from "../../daemon/saved-state.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import { decisive, type Host, type ScheduledMasters } from "./scheduled-masters.ts";

export const verbs = [
  "connect",
  "forward",
  "forward --no-wait",
  "reconnect",
  "stdio",
  "cancel",
  "stop",
  "exit",
  "lose",
  "reload",
  "edit",
] as const;

export interface Command {
  verb: (typeof verbs)[number];
  host: Host;
  /** of a forward, on the server */
  port: number;
  connection: ConnectionOptions | undefined;
  /** whoever asked goes away, at a moment of the scheduler's choice: before the answer is written, if it comes to that */
  isInterrupted: boolean;
  /** the next dial, or the next save, fails */
  fails: "dial" | "save" | null;
}

/** A command that was answered as its user wished it, and when. */
export interface Done extends Command {
  began: number;
  ended: number;
}

// What goes with a master goes with all its names: those that may have stood for one at some time.
const isOneHost = (one: string, other: string, done: readonly Done[]) => {
  const of = (host: string) => (host === "alias" || (host === "other" && hasEdits(done)) ? "a" : host);
  return of(one) === of(other);
};
const hasEdits = (done: readonly Done[]) => done.some(({ verb }) => verb === "edit");
const ends = ({ verb }: Done) => verb === "exit" || verb === "stop";
const keeps = ({ verb }: Done) => verb === "connect";
const forwards = ({ verb }: Done) => verb.startsWith("forward");

function claim(holds: boolean | undefined, what: string): void {
  if (holds !== true) throw new Error(`it is not true that ${what}`);
}

function same(ones: readonly string[], others: readonly string[], what: string): void {
  const [one, other] = [ones, others].map((all) => JSON.stringify([...all].toSorted(byText)));
  claim(one === other, `${what}: ${one} is ${other}`);
}

const byText = (one: string, other: string) => one.localeCompare(other);

/** @throws Error what is not as it should be */
export async function judge(
  done: readonly Done[],
  world: ScheduledMasters,
  before: readonly SavedHost[],
): Promise<void> {
  await judgeLinks(world);
  await judgeNames(done, world, before);
  for (const host of world.saved()) judgeSaved(host, done, before);
  for (const one of done) await judgeAcknowledged(one, done, world, before);
}

/** Every link has been lost since: each name that is up stands for what it means now. @throws Error what is not as it should be */
export async function judgeMeanings(world: ScheduledMasters): Promise<void> {
  await judgeLinks(world);
  const masters = await world.registry.masters();
  for (const { names, hostname, state } of masters)
    for (const name of state === "ready" ? names : []) {
      const isTold = hostname.endsWith(":2222");
      claim(isTold || hostname.split(" ")[0] === world.meaning(name), `${name} stands for ${hostname}`);
    }
}

// Nothing that has ended has a name, two names of one identity never have two masters, and no link and no listener is
// nobody's.
async function judgeLinks({ registry, links, saved }: ScheduledMasters): Promise<void> {
  const masters = await registry.masters();
  claim(
    masters.every(({ state }) => !isOver(state)),
    "no name stands for a master that has ended",
  );
  const reached = masters.map(({ hostname }) => hostname);
  claim(reached.length === new Set(reached).size, "each host has one master");
  const up = masters.filter(({ state }) => state === "ready").map(({ hostname }) => hostname);
  same(
    [...links].map(({ identity }) => identity),
    up,
    "each link is a master's",
  );
  const all = await registry.forwards();
  same(
    [...links].flatMap(({ listeners }) => [...listeners]),
    all.filter(({ state }) => state === "active").map(({ spec }) => String(spec.split(":")[0])),
    "what listens is listed",
  );
  same(
    saved().flatMap(({ host, forwards: own }) => own.map(({ id }) => `${host} ${id}`)),
    all.filter(({ persistent }) => persistent).map(({ host, id }) => `${host} ${id}`),
    "what is on disk is listed",
  );
}

async function judgeNames(
  done: readonly Done[],
  { registry }: ScheduledMasters,
  before: readonly SavedHost[],
): Promise<void> {
  const names = (await registry.masters()).flatMap((master) => master.names);
  for (const name of names) {
    const isKnown = done.some((one) => isOneHost(one.host, name, done) && !ends(one));
    const isHop = name === "hop" && names.includes("behind");
    claim(isKnown || isHop || before.some(({ host }) => host === name), `somebody was told of ${name}`);
  }
}

// What was acknowledged to nobody is not kept. A forward that two names ask for is that of the one that was first, and of
// whoever is answered.
function judgeSaved(
  { host, kept, connection, forwards: own }: SavedHost,
  done: readonly Done[],
  before: readonly SavedHost[],
): void {
  if (before.some((one) => one.host === host)) return;
  const isKept = done.some((one) => one.host === host && keeps(one));
  claim(isKept || !kept, `${host} was asked to be kept`);
  claim(
    isKept || done.some((one) => isOneHost(one.host, host, done) && forwards(one)),
    `${host} was asked for`,
  );
  const options = JSON.stringify(connection ?? undefined);
  const isAsked = done.some((one) => one.host === host && JSON.stringify(one.connection) === options);
  claim(connection === null || isAsked, `${host} was asked for with ${options}`);
  for (const { spec } of own) {
    const isWanted = (one: Done) => (forwards(one) ? spec.startsWith(String(one.port)) : keeps(one));
    claim(
      done.some((one) => isOneHost(one.host, host, done) && isWanted(one)),
      `${spec} was asked for on ${host}`,
    );
  }
}

// What was is there, if no command that may have come after it took it away, and the reverse. A host that is being
// restored does not share a master yet.
async function judgeAcknowledged(
  one: Done,
  done: readonly Done[],
  { registry, saved }: ScheduledMasters,
  before: readonly SavedHost[],
): Promise<void> {
  if (one.verb === "edit") return;
  const later = done.filter(({ host, ended }) => ended > one.began && isOneHost(host, one.host, done));
  if (ends(one)) {
    // Two names of a host are one master's where nobody asked for one of them with options that lead elsewhere.
    const isOther = (host: string) =>
      isOneHost(host, one.host, done) && before.every((each) => each.host !== host);
    const isShared =
      !hasEdits(done) &&
      done.every(({ host, connection }) => connection !== decisive || !isOneHost(host, one.host, done));
    const isGone = (host: string) => host === one.host || (isShared && isOther(host));
    const left = saved().filter(({ host }) => isGone(host));
    claim(left.length === 0 || later.some((other) => !ends(other)), `${one.host} was given up`);
    return;
  }
  const isCancelled = (other: Done) => other.verb === "cancel" && other.port === one.port && forwards(one);
  if (later.some((other) => ends(other) || isCancelled(other))) return;
  const host = saved().find((each) => each.host === one.host);
  claim(!keeps(one) || host?.kept, `${one.host} is kept`);
  const isThere = (await registry.forwards()).some(
    ({ spec, persistent }) => persistent && spec.startsWith(String(one.port)),
  );
  claim(!forwards(one) || isThere, `${one.port} on ${one.host} is there`);
}
