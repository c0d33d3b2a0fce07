// What one host, client or file does to tund, and what a bystander on another host feels meanwhile.
import { expect } from "vitest";
import { makeProbe, type Bystander, type Station, startBystander } from "../support/bystander/bystander.ts";
import { decided, told, type Worst, worstOf } from "../support/bystander/waits.ts";
import { startTund, type Tund, type TundOptions } from "../support/daemon.ts";

export interface Trouble {
  station: Station;
  /** what tund is started with */
  tund: TundOptions;
  /** what is there before the bystander is */
  prepare?: (tund: Tund) => Promise<void>;
  /** Makes it; ends by itself, whatever becomes of it. */
  make: (tund: Tund) => Promise<void>;
}

/** For a test that may have to run three times, on a machine that is busy. */
export const LONG = { timeout: 150_000 };

/**
 * Makes trouble in a fresh tund, up to three times, and gives what is to be said where a bystander's bytes were more than
 * 200 ms later than a control's in two of them: nothing when all is well. Prints what was measured.
 * @throws what the trouble's own commands came to, if nobody was late
 */
export async function lateRuns(trouble: Trouble): Promise<string[]> {
  const name = expect.getState().currentTestName ?? "";
  let failure: unknown;
  const { isLate, runs } = await decided(async () => {
    const { worst, text, error } = await once(trouble);
    console.log(`measured: ${name}: ${text}`);
    failure = error;
    return worst;
  });
  if (isLate) return runs.map((worst) => told(worst));
  // Only now: where everybody waits, what the trouble's own commands came to is a consequence.
  if (failure !== undefined) throw failure;
  return [];
}

async function once({ station, tund: options, prepare, make }: Trouble) {
  const probe = await makeProbe();
  const tund = await startTund({
    ...options,
    nodeArgs: probe.argv,
    env: { ...options.env, ...probe.env },
  });
  let bystander: Bystander | null = null;
  try {
    await prepare?.(tund);
    bystander = await startBystander(tund.socket, probe.path, station);
    const error: unknown = await make(tund).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const seen = await bystander.end();
    expect(seen.ticks).toBeGreaterThan(0);
    const worst: Worst = worstOf(seen);
    return { worst, text: told(worst, seen.unknown), error };
  } finally {
    await bystander?.end();
    await tund.stop("SIGKILL"); // one that stands still hears nothing else
    await probe.remove();
  }
}

/** Runs tunctl, which must succeed within so many milliseconds. */
export async function ok(tund: Tund, args: readonly string[], deadlineMs = 10_000): Promise<void> {
  const { code, stderr } = await tund.tunctl(args, { deadlineMs });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
}
