import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../shared/clock.ts";

const DAY_MS = 86_400_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a timer", () => {
  it.each([24, 25, 30, 400])("of %i days fires then, and once", (days) => {
    let fired = 0;
    systemClock.after(days * DAY_MS, () => fired++);
    vi.advanceTimersByTime(days * DAY_MS - 1);
    expect(fired).toBe(0);
    vi.advanceTimersByTime(1);
    expect(fired).toBe(1);
    vi.advanceTimersByTime(800 * DAY_MS);
    expect(fired).toBe(1);
  });

  it("that is called off does not fire, however often it was set anew", () => {
    let fired = 0;
    const timer = systemClock.after(100 * DAY_MS, () => fired++);
    vi.advanceTimersByTime(60 * DAY_MS);
    timer.cancel();
    vi.advanceTimersByTime(60 * DAY_MS);
    expect(fired).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("of an infinite time never fires, of a time that is over at once, and of no number is refused", () => {
    const fired: string[] = [];
    systemClock.after(Infinity, () => fired.push("infinite"));
    systemClock.after(-5, () => fired.push("over"));
    vi.advanceTimersByTime(1);
    expect(fired).toEqual(["over"]);
    vi.advanceTimersByTime(1000 * DAY_MS);
    expect(fired).toEqual(["over"]);
    expect(() => systemClock.after(Number.NaN, () => undefined)).toThrow(RangeError);
  });
});
