// Commands that overlap in every order that a scheduler can think of, some of them interrupted: what is true afterwards.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Command, type Done, judge, judgeMeanings, verbs } from "../support/judged-commands.ts";
import { Transaction, unheard } from "../../daemon/masters/transaction.ts";
import type { SavedHost } from "../../daemon/saved-state.ts";
import {
  decisive,
  hosts,
  idle,
  type ScheduledMasters,
  scheduledMasters,
} from "../support/scheduled-masters.ts";

// A name whose connect was interrupted can stay behind an edit of ssh_config: seed 1185600273, path 229:4:1:8:4:5:5:5:6:5:8.
const withEdits = process.env["TUND_TEST_EDITS"] !== undefined;
if (!withEdits)
  console.log("skipped: ssh_config edited between commands, which TUND_TEST_EDITS=1 tries as well");

const command: fc.Arbitrary<Command> = fc.record({
  verb: fc.constantFrom(...verbs.filter((verb) => withEdits || verb !== "edit")),
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
    case "edit":
      return world.edit(host);
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

// Every link is lost once more, and whoever needs one has it again.
async function dialledAnew(world: ScheduledMasters): Promise<ScheduledMasters> {
  world.failures.dials = 0;
  for (const link of world.links) link.lose();
  world.clock.advance(60_000);
  for (let away = 1; away > 0;) {
    await world.settle(() => true);
    const masters = await world.registry.masters();
    away = masters.filter(({ state }) => !["ready", "idle"].includes(state)).length;
    if (away > 0) world.clock.advance(60_000);
  }
  return world;
}

// Every name can be given up, and every host be connected then.
async function beginAnew(world: ScheduledMasters): Promise<void> {
  const { registry } = world;
  world.failures.dials = 0;
  world.failures.saves = 0;
  const done = async <T>(act: Promise<T>): Promise<T> => {
    let isDone = false;
    const over = () => (isDone = true);
    act.then(over, over);
    await world.settle(() => isDone);
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
      const asserted = fc.assert(
        fc.asyncProperty(
          fc.scheduler(),
          fc.array(command, { minLength: 2, maxLength: 10 }),
          async (scheduler, commands) => {
            const world = scheduledMasters(scheduler, before);
            const done = await overlapped(scheduler, commands, world);
            await judge(done, world, before);
            await judgeMeanings(await dialledAnew(world));
            await beginAnew(world);
          },
        ),
        { numRuns: RUNS, ...replayed },
      );
      await expect(asserted).resolves.toBeUndefined();
    });
});
