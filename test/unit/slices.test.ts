import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inSlices, jsonInSlices } from "../../daemon/slices.ts";

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
    const spin = (n: number) => {
      const end = performance.now() + 3;
      while (performance.now() < end);
      return n * 2;
    };
    expect(await inSlices([1, 2, 3, 4, 5, 6, 7, 8], spin)).toEqual([2, 4, 6, 8, 10, 12, 14, 16]);
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
          expect((await jsonInSlices(plain)).toString()).toBe(JSON.stringify(plain));
        },
      ),
    ));
});
