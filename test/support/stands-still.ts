// Waiting until nothing moves any more.
import { eventually } from "./eventually.ts";

/** Settles when a count that has moved has been the same for so long that nothing can be under way. */
export async function standsStill(count: () => number): Promise<void> {
  let [still, last] = [0, 0];
  await eventually(
    () => {
      still = count() === last && last > 0 ? still + 1 : 0;
      last = count();
      return still > 50;
    },
    { deadlineMs: 30_000 },
  );
}
