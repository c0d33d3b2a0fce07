import { describe, expect, it } from "vitest";
import { describeNetwork, watchNetwork } from "../../daemon/network-watch.ts";
import { manualClock } from "../support/clock.ts";

function watched() {
  const clock = manualClock();
  const told: string[] = [];
  const world = { network: "eth0 192.0.2.1" };
  const look = () => {
    if (world.network === "") throw new Error("EMFILE");
    return world.network;
  };
  const watch = watchNetwork({ clock, look, onChange: (what) => told.push(what) });
  return { clock, told, world, watch };
}

describe("the network", () => {
  it("is said to have changed once for each change, within 3 s", () => {
    const { clock, told, world } = watched();
    clock.advance(60_000);
    expect(told).toEqual([]);
    world.network = "wlan0 198.51.100.7";
    clock.advance(3000);
    expect(told).toEqual(["the machine's addresses or routes changed"]);
    clock.advance(60_000);
    expect(told).toHaveLength(1);
  });

  it("is taken to have changed when the machine slept, or its clock was set either way; not when it was corrected", () => {
    const { clock, told } = watched();
    clock.jump(1500);
    clock.advance(3000);
    expect(told).toEqual([]);
    clock.jump(3_600_000);
    clock.advance(3000);
    clock.jump(-7_200_000);
    clock.advance(30_000);
    expect(told).toEqual(["the clock jumped by 3600 s", "the clock jumped by 7200 s"]);
  });

  it("is not said to have changed when it cannot be looked at", () => {
    const { clock, told, world } = watched();
    const before = world.network;
    world.network = "";
    clock.advance(9000);
    world.network = before;
    clock.advance(9000);
    expect(told).toEqual([]);
  });

  it("is watched no longer after stop", () => {
    const { clock, told, world, watch } = watched();
    watch.stop();
    world.network = "wlan0 198.51.100.7";
    clock.advance(60_000);
    expect(told).toEqual([]);
    expect(clock.pending()).toBe(0);
  });

  it("is described the same as long as it is the same", () => {
    expect(describeNetwork()).toBe(describeNetwork());
    expect(describeNetwork()).not.toMatch(/fe80:|127\.0\.0\.1/);
  });
});
