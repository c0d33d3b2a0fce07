import { describe, expect, it } from "vitest";
import { Keepalive } from "../../daemon/ssh/keepalive.ts";
import { manualClock } from "../support/clock.ts";

function start(options: { answers: boolean }) {
  const clock = manualClock();
  const state = { received: 100, probes: 0, dead: 0 };
  const keepalive = new Keepalive({
    intervalMs: 1000,
    countMax: 3,
    clock,
    received: () => state.received,
    probe: (onReply) => {
      state.probes++;
      if (options.answers) onReply();
    },
    onDead: () => state.dead++,
  });
  return { clock, state, keepalive };
}

describe("the keepalive", () => {
  it("calls a link dead after countMax probes without an answer, an interval each", () => {
    const { clock, state } = start({ answers: false });
    clock.advance(3999);
    expect(state).toMatchObject({ probes: 3, dead: 0 });
    clock.advance(1);
    expect(state.dead).toBe(1);
    clock.advance(60_000);
    expect(state).toMatchObject({ probes: 3, dead: 1 });
  });

  it("counts any received byte as life, though no probe is answered", () => {
    const { clock, state } = start({ answers: false });
    for (let second = 0; second < 100; second++) {
      if (second % 3 === 0) state.received += 1;
      clock.advance(1000);
    }
    expect(state.dead).toBe(0);
  });

  it("goes on for ever while probes are answered", () => {
    const { clock, state } = start({ answers: true });
    clock.advance(1_000_000);
    expect(state).toMatchObject({ probes: 1000, dead: 0 });
  });

  it("does not probe a link that is receiving", () => {
    const { clock, state } = start({ answers: true });
    for (let second = 0; second < 10; second++) {
      state.received += 1000;
      clock.advance(1000);
    }
    expect(state.probes).toBe(0);
  });

  it("leaves no timer when stopped", () => {
    const { clock, keepalive } = start({ answers: true });
    keepalive.stop();
    expect(clock.pending()).toBe(0);
  });
});
