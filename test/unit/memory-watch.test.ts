import { describe, expect, it } from "vitest";
import { watchMemory } from "../../daemon/memory-watch.ts";
import { manualClock } from "../support/clock.ts";

function daemon() {
  const clock = manualClock();
  const world = { used: 200, looks: 0, given: 0 };
  const watch = watchMemory({
    clock,
    processorMs: () => {
      world.looks++;
      return world.used;
    },
    giveBack: () => {
      world.given++;
      world.used += 5;
    },
  });
  /** one step of the clock, in which so much processor time is used */
  const step = (ms: number, used: number) => {
    world.used += used;
    clock.advance(ms);
  };
  /** what comes of the start is given back */
  const start = () => {
    step(3000, 5);
    expect(world.given).toBe(1);
    world.given = 0;
  };
  return { clock, world, watch, step, start };
}

describe("spare memory", () => {
  it("is given back once after the start, when that has come to rest", () => {
    const { world, step } = daemon();
    step(3000, 400);
    expect(world.given).toBe(0);
    step(250, 1);
    expect(world.given).toBe(1);
    for (let i = 0; i < 50; i++) step(3000, 5);
    expect(world.given).toBe(1);
  });

  it("is given back once after work, and a quarter of a second after its end", () => {
    const { world, step, start } = daemon();
    start();
    step(3000, 1500);
    for (let i = 0; i < 8; i++) step(250, 100);
    expect(world.given).toBe(0);
    step(250, 1);
    expect(world.given).toBe(1);
    for (let i = 0; i < 50; i++) step(3000, 5);
    expect(world.given).toBe(1);
    step(3000, 1500);
    step(250, 1);
    expect(world.given).toBe(2);
  });

  it("is not given back after work that can have left little", () => {
    const { world, step, start } = daemon();
    start();
    step(3000, 200);
    for (let i = 0; i < 10; i++) step(3000, 5);
    expect(world.given).toBe(0);
  });

  it("is looked after every 3 s at rest, and four times a second at work", () => {
    const { world, step, start } = daemon();
    start();
    world.looks = 0;
    for (let i = 0; i < 10; i++) step(3000, 1);
    const each = world.looks / 10;
    step(3000, 1500);
    world.looks = 0;
    for (let i = 0; i < 4; i++) step(250, 100);
    expect(world.looks).toBe(4 * each);
  });

  it("is left alone after stop", () => {
    const { clock, world, watch, step } = daemon();
    watch.stop();
    world.looks = 0;
    step(3000, 1500);
    step(3000, 1);
    expect(world).toMatchObject({ looks: 0, given: 0 });
    expect(clock.pending()).toBe(0);
  });
});
