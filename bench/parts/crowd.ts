// A crowd: thousands of connections at once, until a byte has come back on each.
import { type Bench, type Part, times } from "../bench.ts";
import type { Owner, Measure } from "../measures.ts";
import { startSshSubject, startTundSubject } from "../subjects.ts";

const COUNT = 4000;

// ssh listens with a queue of 128 (SSH_LISTEN_BACKLOG), and each turn of its loop, which takes one of it, is longer the more
// channels there are. What finds the queue full is dropped by the system: the caller believes to be connected, sends its byte
// again, ever later, and is reset after a minute. So a minute is the limit, which is in ssh's favour where it takes longer.
const measures: readonly Measure[] = [
  {
    name: "crowd",
    title: `${COUNT.toLocaleString("en")} connections opened at once, until all are served or a minute is over`,
    unit: "s",
    digits: 2,
    better: "less",
    beside: "ssh -L",
    mark: { of: "ratio", most: 0.2 },
  },
  {
    name: "crowd.served",
    title: "of them served; ssh's queue of 128 is full, and the others are dropped or reset",
    unit: "connections",
    digits: 0,
    better: "more",
    beside: "ssh -L",
  },
];

async function run(bench: Bench): Promise<void> {
  const { sshd, load, rounds } = bench;
  const setting = { sshd, far: load.far };
  const take = async (owner: Owner, port: number): Promise<void> => {
    const { figures, release } = await load.hold(port, COUNT);
    await release();
    bench.record("crowd", owner, figures["seconds"] ?? Number.NaN);
    bench.record("crowd.served", owner, figures["served"] ?? Number.NaN);
  };
  await take("alone", load.far.echo);
  // A fresh one each time: its listener and its channels have met nobody. ssh is asked once.
  for (const [owner, start, count] of [
    ["tund", startTundSubject, Math.min(rounds, 3)],
    ["beside", startSshSubject, 1],
  ] as const)
    await times(count, async () => {
      const subject = await start(setting);
      try {
        await take(owner, subject.ports.echo);
      } finally {
        await subject.stop();
      }
    });
}

/** Four thousand connections at once. */
export const crowd: Part = { name: "crowd", title: "A crowd", measures, run };
