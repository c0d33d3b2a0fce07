// A crowd: thousands of connections at once, until a byte has come back on each.
import { type Bench, type Part, times } from "../bench.ts";
import type { Measure } from "../measures.ts";
import { startSshSubject, startTundSubject } from "../subjects.ts";

const COUNT = 4000;

const measures: readonly Measure[] = [
  {
    name: "crowd",
    title: `${COUNT.toLocaleString("en")} connections opened at once`,
    unit: "s",
    digits: 2,
    better: "less",
    beside: "ssh -L",
    mark: { of: "ratio", most: 0.2 },
  },
];

async function run(bench: Bench): Promise<void> {
  const { sshd, load, rounds } = bench;
  const setting = { sshd, far: load.far };
  const take = async (port: number): Promise<number> => {
    const { figures, release } = await load.hold(port, COUNT);
    await release();
    return figures["seconds"] ?? Number.NaN;
  };
  bench.record("crowd", "alone", await take(load.far.echo));
  // A fresh one each time: its listener and its channels have met nobody. ssh takes half a minute, and is asked once.
  for (const [owner, start, count] of [
    ["tund", startTundSubject, Math.min(rounds, 3)],
    ["beside", startSshSubject, 1],
  ] as const)
    await times(count, async () => {
      const subject = await start(setting);
      try {
        bench.record("crowd", owner, await take(subject.ports.echo));
      } finally {
        await subject.stop();
      }
    });
}

/** Four thousand connections at once. */
export const crowd: Part = { name: "crowd", title: "A crowd", measures, run };
