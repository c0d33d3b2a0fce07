// A machine that slept, or whose network changed: every link shows that it is alive, or is ended and dialled again.
import { expect, it, onTestFinished } from "vitest";
import { watchNetwork } from "../../daemon/network-watch.ts";
import { manualClock } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process.ts";
import { startSshServer } from "../support/ssh-server.ts";

async function world() {
  const clock = manualClock();
  const [dead, alive] = [await startSshServer(), await startSshServer()];
  const tunds = [await startInProcess(dead.sshConfig, clock), await startInProcess(alive.sshConfig, clock)];
  const [one, other] = tunds.map(({ registry }) => registry);
  if (one === undefined || other === undefined) throw new Error("there are two");
  const state = { network: "eth0" };
  const watch = watchNetwork({
    clock,
    look: () => state.network,
    onChange: () => [one, other].forEach((registry) => registry.verifyLinks()),
  });
  onTestFinished(async () => {
    watch.stop();
    const ticking = setInterval(() => clock.advance(1000), 5);
    for (const tund of tunds) await tund.close();
    clearInterval(ticking);
    await Promise.all([dead.close(), alive.close()]);
  });
  for (const registry of [one, other]) await registry.connect("fake");
  return { clock, dead, alive, one, other, state };
}

type World = Awaited<ReturnType<typeof world>>;

it.each([
  ["the clock jumped", ({ clock }: World) => clock.jump(8 * 3_600_000)],
  ["the network changed", ({ state }: World) => void (state.network = "wlan0")],
])("after %s a dead link is noticed within 8 s, and a living one is left alone", async (_, happen) => {
  const all = await world();
  const { clock, dead, one, other } = all;
  dead.freeze();
  happen(all);
  clock.advance(3000); // it is looked at
  await other.check("fake"); // answers come in order: the one that was asked for has come
  clock.advance(4999);
  expect(await one.master("fake")).toMatchObject({ state: "ready" });
  clock.advance(1);
  await eventually(async () =>
    expect(await one.master("fake")).toMatchObject({
      state: "waiting",
      failure: { message: expect.stringContaining("of the network's change") as string },
    }),
  );
  expect(await other.master("fake")).toMatchObject({ state: "ready", reconnects: 0 });
});

it("dials at once when the network changes, without waiting for its turn", async () => {
  const all = await world();
  const { clock, alive, other, state } = all;
  alive.switches.authentication = "never";
  alive.drop();
  await eventually(async () => expect(await other.master("fake")).toMatchObject({ state: "waiting" }));
  const { retryAt } = await other.master("fake");
  expect(Date.parse(retryAt ?? "")).toBe(clock.now() + 1000);
  alive.switches.authentication = "accept";
  // Its turn is 1 s away, and the look would be 3 s away: the change of the network comes first here.
  state.network = "wlan0";
  other.verifyLinks();
  await eventually(async () =>
    expect(await other.master("fake")).toMatchObject({ state: "ready", reconnects: 1 }),
  );
});
