import { describe, expect, it } from "vitest";
import { ReceiveWindow, WindowBudget } from "../../daemon/ssh/receive-window.ts";
import { FIRST_WINDOW } from "../../daemon/ssh/ssh2/channels.ts";

const MIB = 1024 * 1024;
const PACKET = 32 * 1024;
const packet = Buffer.alloc(PACKET);

/** A peer that sends all it may, round trip after round trip, and a reader that takes it or does not. */
function path(options: { roundTripMs?: number; budget?: WindowBudget; rate?: number }) {
  const { roundTripMs, budget = new WindowBudget(128 * MIB), rate = Infinity } = options;
  const state = { now: 0, unread: 0, granted: FIRST_WINDOW, reads: true, delivered: 0 };
  const stream = {
    get readableLength() {
      return state.unread;
    },
    push(data: Buffer) {
      state.delivered += data.length;
      if (!state.reads) state.unread += data.length;
    },
  };
  const parts = { budget, roundTripMs: () => roundTripMs, now: () => state.now };
  const window = new ReceiveWindow(stream, parts, (bytes) => (state.granted += bytes));
  /** One round trip: what the peer knew of at its beginning, at the path's rate. */
  const roundTrip = () => {
    const ms = roundTripMs ?? 1;
    const most = Math.floor(Math.min(state.granted, rate * ms) / PACKET);
    for (let sent = 0; sent < most; sent++) {
      state.now += ms / most;
      state.granted -= PACKET;
      expect(window.receive(packet)).toBe(true);
    }
    return most * PACKET;
  };
  const read = () => {
    state.reads = true;
    state.unread = 0;
    window.refill();
  };
  return { state, window, roundTrip, read };
}

describe("a receive window", () => {
  it("stays what it was on a near path, however much comes", () => {
    const { roundTrip, state } = path({ roundTripMs: 0.1, rate: 1_000_000 });
    for (let round = 0; round < 500; round++) roundTrip();
    expect(state.granted).toBeLessThanOrEqual(FIRST_WINDOW);
  });

  it("stays what it was while no round trip is known", () => {
    const { roundTrip, state } = path({});
    for (let round = 0; round < 500; round++) roundTrip();
    expect(state.granted).toBeLessThanOrEqual(FIRST_WINDOW);
  });

  it("grows on a far path until it no longer limits the rate, and to 16 MiB at most", () => {
    const { roundTrip } = path({ roundTripMs: 100 });
    const first = roundTrip();
    expect(first).toBeLessThanOrEqual(2 * MIB);
    let most = first;
    for (let round = 0; round < 20; round++) most = Math.max(most, roundTrip());
    expect(most).toBeGreaterThan(15 * MIB);
    expect(most).toBeLessThanOrEqual(16 * MIB);
  });

  it("keeps about two bandwidth-delay products outstanding where the path is the limit", () => {
    const rate = 50_000; // bytes a ms: 5 MB in a round trip
    const { roundTrip, state } = path({ roundTripMs: 100, rate });
    for (let round = 0; round < 30; round++) roundTrip();
    expect(state.granted).toBeGreaterThan(rate * 100);
    expect(state.granted).toBeLessThan(rate * 100 * 4);
  });

  it("grants no more than 4 MiB beyond what is under way", () => {
    const rate = 100_000; // bytes a ms: 10 MB in a round trip
    const { roundTrip, state } = path({ roundTripMs: 100, rate });
    for (let round = 0; round < 30; round++) roundTrip();
    expect(state.granted).toBeGreaterThan(rate * 100 + 3 * MIB);
    expect(state.granted).toBeLessThan(rate * 100 + 4.5 * MIB);
  });

  it("takes no notice of a single lean round trip", () => {
    const { roundTrip, state, window } = path({ roundTripMs: 100 });
    for (let round = 0; round < 20; round++) roundTrip();
    state.now += 100;
    state.granted -= PACKET;
    expect(window.receive(packet)).toBe(true);
    roundTrip();
    expect(roundTrip()).toBeGreaterThan(15 * MIB);
  });

  it("grants a stalled reader no more than it had, and all of that once it reads again", () => {
    const { roundTrip, state, read } = path({ roundTripMs: 100 });
    for (let round = 0; round < 4; round++) roundTrip();
    state.reads = false;
    for (let round = 0; round < 20; round++) roundTrip();
    const stalled = state.unread + state.granted;
    for (let round = 0; round < 20; round++) roundTrip();
    expect(state.granted).toBe(0);
    expect(state.unread).toBe(stalled);
    read();
    expect(state.granted).toBeGreaterThanOrEqual(2 * MIB);
  });

  it("refuses what was not granted, and passes nothing of it on", () => {
    const { window, state } = path({});
    state.reads = false;
    for (let left = FIRST_WINDOW; left > 0; left -= PACKET) expect(window.receive(packet)).toBe(true);
    expect(window.receive(Buffer.alloc(1))).toBe(false);
    expect(state.delivered).toBe(FIRST_WINDOW);
  });

  it("shares one budget with all others, stalled ones included, and gives it back at the end", () => {
    const budget = new WindowBudget(8 * MIB);
    const all = Array.from({ length: 10 }, () => path({ roundTripMs: 100, budget }));
    for (let round = 0; round < 20; round++) for (const { roundTrip } of all) roundTrip();
    for (const { state } of all) state.reads = false;
    for (let round = 0; round < 20; round++) for (const { roundTrip } of all) roundTrip();
    const held = all.reduce((sum, { state }) => sum + state.unread + state.granted, 0);
    expect(held).toBeGreaterThan(10 * 2 * MIB);
    expect(held).toBeLessThanOrEqual(8 * MIB + 10 * 2 * MIB);
    expect(budget.take(1)).toBe(0);
    for (const { window } of all) window.release();
    expect(budget.take(Infinity)).toBe(8 * MIB);
  });

  it("gives back what it no longer uses, and not before the peer has used it", () => {
    const budget = new WindowBudget(16 * MIB);
    const { roundTrip, state, window } = path({ roundTripMs: 100, budget });
    for (let round = 0; round < 20; round++) roundTrip();
    const before = budget.take(0) + state.granted;
    expect(before).toBeGreaterThan(14 * MIB);
    // A trickle: one packet in a round trip.
    const trickle = () => {
      state.now += 100;
      state.granted -= PACKET;
      expect(window.receive(packet)).toBe(true);
    };
    let left = 0;
    for (let round = 0; round < 2500; round++) {
      trickle();
      const now = budget.take(Infinity);
      left += now;
      expect(left + Math.max(0, state.granted - 2 * MIB)).toBeLessThanOrEqual(16 * MIB);
    }
    expect(left).toBeGreaterThan(13 * MIB);
  });
});
