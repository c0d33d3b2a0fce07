// Round trips of 64 bytes: alone on the master, in two writes, and beside a bulk transfer of the same master.
import { type Bench, type Part, takeTurns, type Turn } from "../bench.ts";
import type { Figures } from "../generators.ts";
import type { Mark, Measure } from "../measures.ts";
import { withSubjects } from "../subjects.ts";

type Quantile = "p50" | "p99";

const measure = (name: string, title: string, quantile: Quantile, most?: number): Measure => ({
  name: `round-trip.${name}.${quantile}`,
  title: `${title}, ${quantile}`,
  unit: "µs",
  digits: 0,
  better: "less",
  beside: "ssh -L",
  ...(most !== undefined && { mark: { of: "ratio", most } satisfies Mark }),
});

const measures: readonly Measure[] = [
  measure("idle", "idle", "p50", 1.25),
  measure("idle", "idle", "p99", 2),
  measure("two-writes", "in two writes", "p50"),
  measure("two-writes", "in two writes", "p99"),
  measure("under-down", "during a download", "p50", 0.8),
  measure("under-down", "during a download", "p99"),
  measure("under-up", "during an upload", "p50", 1),
  measure("under-up", "during an upload", "p99"),
];

async function run(bench: Bench): Promise<void> {
  const { sshd, load, pace } = bench;
  const idle = (pieces: number) => ({ warmMs: 200 * pace, runMs: 700 * pace, pieces });
  const turnOf =
    (name: string, take: (ports: { echo: number; source: number; sink: number }) => Promise<Figures>): Turn =>
    async ({ ports }, record) => {
      const figures = await take(ports);
      for (const quantile of ["p50", "p99"] as const)
        record(`round-trip.${name}.${quantile}`, figures[quantile] ?? Number.NaN);
    };
  const during = (way: "down" | "up") =>
    turnOf(`under-${way}`, async (ports) => {
      const port = way === "down" ? ports.source : ports.sink;
      const [figures] = await Promise.all([
        load.trips(ports.echo, { warmMs: 400 * pace, runMs: 900 * pace }),
        // From before the first that counts until after the last one.
        load.flow(way, port, { warmMs: 0, runMs: 1500 * pace }),
      ]);
      return figures;
    });
  const turns = [
    turnOf("idle", ({ echo }) => load.trips(echo, idle(1))),
    turnOf("two-writes", ({ echo }) => load.trips(echo, idle(2))),
    during("down"),
    during("up"),
  ];
  await withSubjects({ sshd, far: load.far }, (subjects) => takeTurns(bench, subjects, turns));
  const alone = await load.trips(load.far.echo, idle(1));
  for (const quantile of ["p50", "p99"] as const)
    bench.record(`round-trip.idle.${quantile}`, "alone", alone[quantile] ?? Number.NaN);
}

/** Round trips of 64 bytes. */
export const roundTrip: Part = { name: "round-trip", title: "Round trip of 64 bytes", measures, run };
