import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inSlices, jsonInSlices } from "../../daemon/slices.ts";
import { SLICE_MS, Turns } from "../../daemon/turns.ts";
import { systemClock } from "../../shared/clock.ts";
import { manualClock } from "../support/clock.ts";

describe("work in slices", () => {
  it("lets everybody else have their turn, and keeps the order", async () => {
    let turns = 0;
    const done = new AbortController();
    const others = (async () => {
      while (!done.signal.aborted) {
        await nextTurn();
        turns++;
      }
    })();
    const clock = manualClock();
    const slowly = (n: number) => {
      clock.advance(SLICE_MS);
      return n * 2;
    };
    expect(await inSlices(new Turns(clock), [1, 2, 3, 4, 5, 6, 7, 8], slowly)).toEqual([
      2, 4, 6, 8, 10, 12, 14, 16,
    ]);
    done.abort();
    await others;
    expect(turns).toBeGreaterThanOrEqual(7);
  });

  it("writes what JSON.stringify writes", () =>
    fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string(), fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue()))),
        async (object) => {
          const plain = { ...object };
          expect((await jsonInSlices(new Turns(systemClock), plain)).toString()).toBe(JSON.stringify(plain));
        },
      ),
    ));
});
