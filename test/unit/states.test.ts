import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ForwardEvent, type ForwardState, nextForwardState } from "../../daemon/forwards/state.ts";
import { backoff } from "../../daemon/masters/backoff.ts";
import { type MasterEvent, type MasterState, nextMasterState } from "../../daemon/masters/state.ts";

const masterEvents: MasterEvent[] = [
  "authenticated",
  "lost",
  "blocked",
  "refused",
  "retry",
  "close",
  "drained",
];
const forwardEvents: ForwardEvent[] = ["bound", "refused", "unbound", "retry", "close", "drained"];

const masterAfter = (history: readonly MasterEvent[], from: MasterState = "connecting") =>
  history.reduce(nextMasterState, from);
const forwardAfter = (history: readonly ForwardEvent[], from: ForwardState = "pending") =>
  history.reduce(nextForwardState, from);

describe("the states of a master", () => {
  it("end in closed after close and drained, whatever came before", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...masterEvents)), (history) => {
        expect(masterAfter(["close", "drained"], masterAfter(history))).toBe("closed");
      }),
    );
  });

  it("are ready only after authenticated, with nothing that ends it since", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...masterEvents)), (history) => {
        fc.pre(masterAfter(history) === "ready");
        const since = history.slice(history.lastIndexOf("authenticated"));
        expect(since[0]).toBe("authenticated");
        expect(since).not.toContain("lost");
        expect(history).not.toContain("close");
      }),
    );
  });

  it("never leave failed or blocked by themselves", () => {
    for (const state of ["failed", "blocked"] as const)
      for (const event of ["authenticated", "lost", "refused", "drained"] as const)
        expect(nextMasterState(state, event)).toBe(state);
  });

  it("stay closed", () => {
    for (const event of masterEvents) expect(nextMasterState("closed", event)).toBe("closed");
  });
});

describe("the states of a forward", () => {
  it("end in closed after close and drained, whatever came before", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...forwardEvents)), (history) => {
        expect(forwardAfter(["close", "drained"], forwardAfter(history))).toBe("closed");
      }),
    );
  });

  it("are active only when bound was confirmed", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...forwardEvents)), (history) => {
        fc.pre(forwardAfter(history) === "active");
        expect(history).toContain("bound");
      }),
    );
  });
});

describe("the backoff", () => {
  it("waits between one second and a ceiling that doubles up to a minute", () => {
    expect(backoff(1, 0)).toBe(1000);
    expect(backoff(1, 0.999_999)).toBe(2000);
    expect(backoff(3, 0.999_999)).toBe(8000);
    expect(backoff(50, 0.999_999)).toBe(60_000);
    expect(backoff(50, 0)).toBe(1000);
  });
});
