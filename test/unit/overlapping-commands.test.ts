// Commands that overlap in every order that a scheduler can think of, some of them interrupted: what is true afterwards.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Transaction, unheard } from "../../daemon/masters/transaction.ts";
import type { SavedHost } from "../../daemon/saved-state.ts";
import { isOver } from "../../daemon/masters/state.ts";
import {
  decisive,
  type Host,
  hosts,
  idle,
  type ScheduledMasters,
  scheduledMasters,
} from "../support/scheduled-masters.ts";

const verbs = [
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
] as const;

interface Command {
  verb: (typeof verbs)[number];
  host: Host;
  /** of a forward, on the server */
  port: number;
  connection: typeof decisive | undefined;
  /** whoever asked goes away, at a moment of the scheduler's choice: before the answer is written, if it comes to that */
  isInterrupted: boolean;
  /** the next dial, or the next save, fails */
  fails: "dial" | "save" | null;
}

/** A command that was answered as its user wished it. */
interface Done extends Command {
  began: number;
  ended: number;
}

const command: fc.Arbitrary<Command> = fc.record({
  verb: fc.constantFrom(...verbs),
  host: fc.constantFrom(...hosts),
  port: fc.constantFrom(8001, 8002),
  connection: fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, fc.constantFrom(decisive, idle)),
  isInterrupted: fc.boolean(),
  fails: fc.oneof(
    { weight: 8, arbitrary: fc.constant(null) },
    fc.constantFrom("dial" as const, "save" as const),
  ),
});

const restored: SavedHost[] = [
  {
    host: "a",
    kept: true,
    connection: null,
    forwards: [
      {
        id: "kept",
        name: "web",
        kind: "remote",
        spec: "8001:localhost:80",
        gatewayPorts: false,
        onDemand: false,
        idleSeconds: null,
        allocatedPort: null,
      },
    ],
  },
];

const spec = (port: number) => ({ kind: "remote" as const, spec: `${port}:localhost:80` });

async function carriedOut(
  { verb, host, port, connection }: Command,
  world: ScheduledMasters,
  transaction: Transaction,
) {
  const { registry, links } = world;
  const given = connection && { connection };
  switch (verb) {
    case "connect":
      return registry.connect(host, given, transaction);
    case "forward":
      return registry.openForwards({ host, forwards: [spec(port)], ...given }, transaction);
    case "forward --no-wait":
      return registry.openForwards({ host, forwards: [spec(port)], wait: false, ...given }, transaction);
    case "reconnect":
      return registry.reconnect(host, transaction);
    case "stdio":
      return registry.openStdio({ host, destination: "localhost:80", ...given }, transaction);
    case "cancel":
      return registry.cancel({ host, forwards: [spec(port)] });
    case "stop":
      return registry.stop(host);
    case "exit":
      return registry.exit(host);
    case "reload":
      return registry.redial();
    case "lose":
      return [...links].find(({ identity }) => identity.startsWith(host))?.lose();
  }
}

/** Runs them all at once; gives those that were answered. */
async function overlapped(
  scheduler: fc.Scheduler,
  commands: readonly Command[],
  world: ScheduledMasters,
): Promise<Done[]> {
  const done: Done[] = [];
  let step = 0;
  let underWay = commands.length;
  const run = async (one: Command) => {
    const name = `${one.verb} ${one.host}`;
    await scheduler.schedule(Promise.resolve(), name);
    const began = step++;
    if (one.fails === "dial") world.failures.dials++;
    if (one.fails === "save") world.failures.saves++;
    const transaction = new Transaction();
    if (one.isInterrupted && !["cancel", "stop", "exit"].includes(one.verb))
      // which are carried through
      void scheduler
        .schedule(Promise.resolve(), `${name} is interrupted`)
        .then(() => transaction.abort(unheard()));
    try {
      await carriedOut(one, world, transaction);
      await scheduler.schedule(Promise.resolve(), `${name} is answered`);
      if (transaction.signal.aborted) return;
      transaction.commit();
      done.push({ ...one, began, ended: step++ });
    } catch {
      // It says why not: that is as good an answer as any.
    } finally {
      underWay--;
    }
  };
  for (const one of commands) void run(one);
  await world.settle(() => underWay === 0);
  world.clock.advance(60_000); // what is tried again
  await world.settle(() => true);
  return done;
}

// What goes with a master goes with all its names.
const isOneHost = (one: string, other: string) =>
  (one === "alias" ? "a" : one) === (other === "alias" ? "a" : other);
const ends = ({ verb }: Done) => verb === "exit" || verb === "stop";
const keeps = ({ verb }: Done) => verb === "connect";
const forwards = ({ verb }: Done) => verb.startsWith("forward");

async function judge(
  done: readonly Done[],
  world: ScheduledMasters,
  before: readonly SavedHost[],
): Promise<void> {
  const { registry, links } = world;
  const masters = (await registry.masters()).filter(({ state }) => !isOver(state));
  const all = await registry.forwards();
  const saved = world.saved();
  // Nothing ends any more, and nothing that has ended has a name.
  expect((await registry.masters()).filter(({ state }) => isOver(state))).toEqual([]);
  // Two names of one identity never have two masters, and no link is nobody's.
  const reached = masters.map(({ hostname }) => hostname).filter((hostname) => hostname !== "");
  expect(reached).toHaveLength(new Set(reached).size);
  const up = masters.filter(({ state }) => state === "ready").map(({ hostname }) => hostname);
  expect([...links].map(({ identity }) => identity).toSorted()).toEqual(up.toSorted());
  // No forward listens that is not in the list.
  const listed = all.filter(({ state }) => state === "active").map(({ spec: text }) => text.split(":")[0]);
  expect([...links].flatMap(({ listeners }) => [...listeners]).toSorted()).toEqual(listed.toSorted());
  // state.json has what the list has.
  const persistent = all.filter((forward) => forward.persistent).map(({ host, id }) => `${host} ${id}`);
  const onDisk = saved.flatMap(({ host, forwards: own }) => own.map(({ id }) => `${host} ${id}`));
  expect(onDisk.toSorted()).toEqual(persistent.toSorted());
  // A forward that two names ask for is that of the one that was first, and of whoever is answered.
  const answered = (host: string) =>
    done.some((one) => (one.host === host && keeps(one)) || (isOneHost(one.host, host) && forwards(one)));
  for (const { host, kept, forwards: own, connection } of saved) {
    const wasThere = before.some((one) => one.host === host);
    // What was acknowledged to nobody is not kept ...
    expect(answered(host) || wasThere, `${host} is on disk`).toBe(true);
    if (kept)
      expect(done.some((one) => one.host === host && keeps(one)) || wasThere, `${host} is kept`).toBe(true);
    if (connection !== null)
      expect(
        done.some(
          (one) =>
            (one.host === host && one.connection === connection) ||
            JSON.stringify(one.connection) === JSON.stringify(connection),
        ),
      ).toBe(true);
    for (const { spec: text } of own)
      expect(
        wasThere ||
          done.some(
            (one) =>
              isOneHost(one.host, host) && (forwards(one) ? text.startsWith(String(one.port)) : keeps(one)),
          ),
        `${text} on ${host}`,
      ).toBe(true);
  }
  const isHop = (name: string) => name === "hop" && masters.some(({ names }) => names.includes("behind"));
  for (const { names } of masters)
    for (const name of names) {
      const isKnown =
        done.some((one) => isOneHost(one.host, name) && !ends(one)) ||
        before.some(({ host }) => host === name);
      expect(isKnown || isHop(name), `${name} is there`).toBe(true);
    }
  // ... and what was is, if no command that may have come after it took it away.
  for (const one of done) {
    const isTakenAway = done.some(
      (other) =>
        other.ended > one.began &&
        isOneHost(other.host, one.host) &&
        (ends(other) || (other.verb === "cancel" && other.port === one.port && forwards(one))),
    );
    if (isTakenAway) continue;
    const host = saved.find((each) => each.host === one.host);
    if (keeps(one)) expect(host?.kept, `${one.host} is kept`).toBe(true);
    if (forwards(one))
      expect(
        all.some(({ spec: text, persistent: isKept }) => isKept && text.startsWith(String(one.port))),
        `${one.port} is there`,
      ).toBe(true);
  }
  // What was taken away is away, if no command that may have come after it brought it back. A host that is being restored
  // does not share a master yet.
  for (const one of done.filter(ends)) {
    const isBack = done.some(
      (other) => other.ended > one.began && isOneHost(other.host, one.host) && !ends(other),
    );
    const isGone = (host: string) =>
      host === one.host || (isOneHost(host, one.host) && before.every((each) => each.host !== host));
    if (!isBack) expect(saved.filter(({ host }) => isGone(host))).toEqual([]);
  }
}

// Every name can be given up, and every host be connected then.
async function beginAnew(world: ScheduledMasters): Promise<void> {
  const { registry } = world;
  world.failures.dials = 0;
  world.failures.saves = 0;
  const done = async <T>(act: Promise<T>): Promise<T> => {
    let isOver = false;
    const over = () => (isOver = true);
    act.then(over, over);
    await world.settle(() => isOver);
    return act;
  };
  for (let [name] = (await registry.masters()).flatMap(({ names }) => names); name !== undefined;) {
    await done(registry.exit(name));
    const left = (await registry.masters()).flatMap(({ names }) => names);
    expect(left).not.toContain(name);
    [name] = left;
  }
  expect(world.saved()).toEqual([]);
  expect(world.links.size).toBe(0);
  for (const host of hosts) expect(await done(registry.connect(host))).toMatchObject({ state: "ready" });
  expect(
    world
      .saved()
      .map(({ host }) => host)
      .toSorted(),
  ).toEqual([...hosts].toSorted());
  await done(registry.close(0));
  expect(world.links.size).toBe(0);
}

// What a failure printed, to be tried again.
const { TUND_TEST_SEED: seed, TUND_TEST_PATH: path } = process.env;
const replayed = { ...(seed !== undefined && { seed: Number(seed) }), ...(path !== undefined && { path }) };
const RUNS = Number(process.env["TUND_TEST_RUNS"] ?? 400);

describe("commands that overlap", () => {
  for (const [before, what] of [
    [[], "from nothing"],
    [restored, "while a host is being restored"],
  ] as const)
    it(`leave what was acknowledged and nothing else, ${what}`, { timeout: 600_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler(),
          fc.array(command, { minLength: 2, maxLength: 10 }),
          async (scheduler, commands) => {
            const world = scheduledMasters(scheduler, before);
            const done = await overlapped(scheduler, commands, world);
            await judge(done, world, before);
            await beginAnew(world);
          },
        ),
        { numRuns: RUNS, ...replayed },
      );
    });
});
