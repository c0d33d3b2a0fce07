// What two commands wait for comes in one turn of the event loop, at every distance that promises can have in it.
import { describe, expect, it } from "vitest";
import { decisive, type ScheduledMasters, scheduledMasters } from "../support/scheduled-masters.ts";

const MOST_MICROTASKS = 12;
const HOST = "other";

/** Has what is waited for happen when it is told to: a certain one at once, or what waits longest. */
class Held {
  readonly #waiting: { label: string; happen: () => void }[] = [];

  schedule<T>(task: Promise<T>, label = ""): Promise<T> {
    return new Promise<T>((resolve) => this.#waiting.push({ label, happen: () => resolve(task) }));
  }

  count(): number {
    return this.#waiting.length;
  }

  async waitOne(): Promise<void> {
    this.#waiting.shift()?.happen();
  }

  isWaiting(label: string): boolean {
    return this.#waiting.some((one) => one.label.startsWith(label));
  }

  happen(label: string): void {
    const at = this.#waiting.findIndex((one) => one.label.startsWith(label));
    if (at < 0) throw new Error(`nobody waits for ${label}`);
    this.#waiting.splice(at, 1)[0]?.happen();
  }
}

async function microtasks(count: number): Promise<void> {
  for (let one = 0; one < count; one++) await Promise.resolve();
}

/** Has the world go on until this has settled. */
async function done<T>(world: ScheduledMasters, act: Promise<T>): Promise<T> {
  let isDone = false;
  const over = () => void (isDone = true);
  act.then(over, over);
  await world.settle(() => isDone);
  return act;
}

function loseLinks({ links }: ScheduledMasters): Promise<void> {
  for (const link of links) link.lose();
  return microtasks(MOST_MICROTASKS); // until the master knows
}

const connection = decisive;
const commands: [string, (world: ScheduledMasters) => Promise<unknown>][] = [
  ["connect", ({ registry }) => registry.connect(HOST, { connection })],
  ["reconnect", ({ registry }) => registry.reconnect(HOST)],
  [
    "forward",
    ({ registry }) =>
      registry.openForwards({
        host: HOST,
        forwards: [{ kind: "remote", spec: "1:localhost:1" }],
        connection,
      }),
  ],
  ["stdio", ({ registry }) => registry.openStdio({ host: HOST, destination: "localhost:1", connection })],
];
const cases = commands.flatMap(([verb, act]) => [
  { verb, act, isUp: true, link: "is there" },
  { verb, act, isUp: false, link: "is away" },
]);
const orders = [
  ["ssh -G", "save"],
  ["save", "ssh -G"],
] as const;

describe("a command that is told what ssh_config says in the turn in which an exit is saved", () => {
  it.each(cases)(
    "leaves nothing behind that has ended: $verb, while the link $link",
    async ({ act, isUp }) => {
      for (const [first, second] of orders)
        for (let distance = 0; distance <= MOST_MICROTASKS; distance++) {
          const held = new Held();
          const world = scheduledMasters(held);
          const { registry } = world;
          await done(world, registry.connect(HOST));
          if (!isUp) await loseLinks(world);
          world.reconfigure();
          const command = act(world);
          const exit = registry.exit(HOST);
          while (!held.isWaiting("save") || !held.isWaiting("ssh -G")) await microtasks(1);
          held.happen(first);
          for (let passed = 0; passed < distance; passed++) await Promise.resolve(); // and not one more
          held.happen(second);
          await done(world, Promise.allSettled([command, exit]));

          const said = `${first}, and ${distance} microtasks later ${second}`;
          if ((await registry.masters()).length > 0) await done(world, registry.exit(HOST));
          expect(await registry.masters(), said).toEqual([]);
          const again = await done(world, registry.connect(HOST)).catch((error: unknown) => error);
          expect(again, said).toMatchObject({ state: "ready" });
          await done(world, registry.close(0));
        }
    },
  );
});
