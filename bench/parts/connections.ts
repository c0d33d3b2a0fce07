// New connections: each is opened, carries a byte there and back, and is closed.
import { type Bench, type Part, takeTurns, type Turn } from "../bench.ts";
import type { Measure } from "../measures.ts";
import { withSubjects } from "../subjects.ts";

// As many at a time as a browser opens to one host, and a few more.
const WIDTH = 8;

const rate = { unit: "1/s", digits: 0, better: "more" } as const;

const measures: readonly Measure[] = [
  {
    ...rate,
    name: "connections",
    title: `new connections, ${WIDTH} at a time`,
    beside: "ssh -L",
    mark: { of: "ratio", least: 1 },
  },
  { ...rate, name: "connections.one", title: "new connections, one after the other", beside: "ssh -L" },
  { ...rate, name: "connections.socks", title: `SOCKS5 connections, ${WIDTH} at a time`, beside: "ssh -D" },
];

async function run(bench: Bench): Promise<void> {
  const { sshd, load, pace } = bench;
  const how = { warmMs: 200 * pace, runMs: 800 * pace };
  const turnOf =
    (
      measure: string,
      take: (ports: { echo: number; socks: number }) => ReturnType<typeof load.connections>,
    ): Turn =>
    async ({ ports }, record) =>
      record(measure, (await take(ports))["perSecond"] ?? Number.NaN);
  const turns = [
    turnOf("connections", ({ echo }) => load.connections(echo, { ...how, width: WIDTH })),
    turnOf("connections.one", ({ echo }) => load.connections(echo, { ...how, width: 1 })),
    turnOf("connections.socks", ({ socks }) =>
      load.connections(socks, { ...how, width: WIDTH, socksTo: load.far.echo }),
    ),
  ];
  await withSubjects({ sshd, far: load.far }, (subjects) => takeTurns(bench, subjects, turns));
  // Shorter: every one of them holds a port of this machine for a while.
  for (const [measure, width] of [
    ["connections", WIDTH],
    ["connections.one", 1],
  ] as const) {
    const { perSecond = 0 } = await load.connections(load.far.echo, { warmMs: 50, runMs: 400, width });
    bench.record(measure, "alone", perSecond);
  }
}

/** New connections a second, and SOCKS handshakes. */
export const connections: Part = { name: "connections", title: "New connections", measures, run };
