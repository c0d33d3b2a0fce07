// Bulk over several connections of one master at once.
import { type Bench, type Part, takeTurns, type Turn } from "../bench.ts";
import type { Measure } from "../measures.ts";
import { withSubjects } from "../subjects.ts";

const STREAMS = 8;
const WAYS = ["down", "up"] as const;

const measures: readonly Measure[] = WAYS.map((way) => ({
  name: `streams.${way}`,
  title: `${way === "down" ? "download" : "upload"}, ${STREAMS} connections`,
  unit: "MiB/s",
  digits: 0,
  better: "more",
  beside: "ssh -L",
}));

async function run(bench: Bench): Promise<void> {
  const { sshd, load, pace } = bench;
  const flow = (way: (typeof WAYS)[number], ports: { source: number; sink: number }) =>
    load.flow(way, way === "down" ? ports.source : ports.sink, {
      warmMs: 250 * pace,
      runMs: 700 * pace,
      streams: STREAMS,
      blockKib: 1024,
    });
  const turns = WAYS.map((way): Turn => async (subject, record) => {
    const { mibPerSecond = 0 } = await flow(way, subject.ports);
    record(`streams.${way}`, mibPerSecond);
  });
  await withSubjects({ sshd, far: load.far }, (subjects) => takeTurns(bench, subjects, turns));
  for (const way of WAYS) {
    const { mibPerSecond = 0 } = await flow(way, load.far);
    bench.record(`streams.${way}`, "alone", mibPerSecond);
  }
}

/** Bulk over eight connections. */
export const streams: Part = {
  name: "streams",
  title: "Bulk, eight connections of one master",
  measures,
  run,
};
