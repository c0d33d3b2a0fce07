// Commands of several clients that overlap: none of them leaves a name that can be neither used nor given up.
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { CAMPAIGN_MS, run } from "./campaign.ts";
import { Crossing, NAMES } from "./crossing.ts";
import type { Random } from "./random.ts";

const CLIENTS = [1, 2, 3, 4];
const COMMANDS = 15;

let world: Crossing;

beforeAll(async () => {
  world = await Crossing.start();
});
afterAll(() => world?.stop());

const names = async (): Promise<string[]> =>
  (await world.client.call("getStatus", {})).masters.flatMap((master) => [...master.names]);
const connect = (host: string) =>
  world.ask(`connect ${host}`, (client) => client.call("connectMaster", { params: { host }, body: {} }));
const exit = (host: string) =>
  world.ask(`exit ${host}`, (client) => client.call("exitMaster", { params: { host } }));

/** Whatever there is is given up. What clients had asked for who have gone away may still be on its way out. */
async function giveUp(): Promise<void> {
  await eventually(
    async () => {
      await exit("behind").catch(() => undefined); // or it would have `one` be connected again
      for (const name of await names()) await exit(name).catch(() => undefined);
      expect(await names()).toEqual([]);
    },
    { deadlineMs: 30_000 },
  );
}

/** With nothing else under way every name can be connected, and be given up. */
async function areFree(random: Random): Promise<void> {
  await world.configure();
  await giveUp();
  const first = random.below(NAMES.length);
  for (const host of [...NAMES.slice(first), ...NAMES.slice(0, first)]) {
    expect(await connect(host)).toMatchObject({ state: "ready" });
    expect(await names(), `${host} is connected`).toContain(host);
    if (random.oneIn(3)) continue;
    if (host === "one") await exit("behind").catch(() => undefined);
    await exit(host);
    expect(await names(), `${host} has been given up`).not.toContain(host);
  }
}

it("leave every name to be used and given up", { timeout: CAMPAIGN_MS }, async () => {
  await run({
    kind: "crossing",
    inputs: 120,
    part: async (random) => {
      if (random.oneIn(8)) await world.restart(random.oneIn(3) ? "SIGKILL" : "SIGTERM");
      try {
        const said = await Promise.all(CLIENTS.map((client) => world.talk(random.fork(client), COMMANDS)));
        await areFree(random);
        return said.reduce((all, one) => all + one);
      } catch (error) {
        const told = world.told();
        await world.restart("SIGKILL", true); // what it left is not to be found again
        const why = error instanceof Error ? error.stack : String(error);
        throw new Error(`${why}\n${told}`, { cause: error });
      } finally {
        world.told();
      }
    },
  });
});
