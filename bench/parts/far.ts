// A far link: every byte is held back for half a round trip on its way to sshd, by a delay line of our own.
import { appendFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, ownerOf, type Part } from "../bench.ts";
import type { Measure } from "../measures.ts";
import { withSubjects } from "../subjects.ts";

const LINKS = [
  { roundTripMs: 20, mibPerSecond: 0, turns: 1 },
  { roundTripMs: 100, mibPerSecond: 0, turns: 3 },
  { roundTripMs: 300, mibPerSecond: 0, turns: 1 },
  { roundTripMs: 100, mibPerSecond: 20, turns: 1 },
] as const;
const WAYS = ["down", "up"] as const;
type Link = (typeof LINKS)[number];
type Way = (typeof WAYS)[number];

const nameOf = ({ roundTripMs, mibPerSecond }: Link): string =>
  `far.${roundTripMs}${mibPerSecond === 0 ? "" : `.${mibPerSecond}`}`;

const measures: readonly Measure[] = LINKS.flatMap((link) =>
  WAYS.map((way): Measure => {
    const limit = link.mibPerSecond === 0 ? "" : ` of ${link.mibPerSecond} MiB/s`;
    return {
      name: `${nameOf(link)}.${way}`,
      title: `${way === "down" ? "download" : "upload"}, ${link.roundTripMs} ms link${limit}`,
      unit: "MiB/s",
      digits: 1,
      better: "more",
      beside: "ssh -L",
      ...(link.roundTripMs === 100 &&
        link.mibPerSecond === 0 &&
        way === "down" && { mark: { of: "ratio", least: 8 } }),
    };
  }),
);

/** A turn or three each, with no round to warm up: each lasts seconds, warms up for longer than it counts, and mostly waits. */
async function over(bench: Bench, link: Link): Promise<void> {
  const { sshd, load } = bench;
  const { roundTripMs, turns } = link;
  // By then windows that grow with the distance have grown, and so has the buffer in which sshd reads ahead of them: it stands
  // still for a second or two meanwhile.
  const durations = {
    down: { warmMs: 6000, runMs: 2000, blockKib: 128 },
    up: { warmMs: 1000 + 5 * roundTripMs, runMs: 1500, blockKib: 128 },
  };
  // A line alone has no windows to grow.
  const brief = { warmMs: 200 + 2 * roundTripMs, runMs: 700, blockKib: 128 };
  const take = async (
    way: Way,
    ports: { source: number; sink: number },
    duration = durations[way],
  ): Promise<number> => {
    const figures = await load.flow(way, way === "down" ? ports.source : ports.sink, duration);
    await sleep(2 * roundTripMs + 100); // what is still on the line
    return figures["mibPerSecond"] ?? Number.NaN;
  };
  const host = nameOf(link);
  await overLine(bench, link, sshd.port, async (port) => {
    await sshd.addHost(host, { Port: port });
    await appendFile(sshd.knownHosts, `[127.0.0.1]:${port} ${sshd.hostKeys[0]?.publicKey}\n`);
    await withSubjects({ sshd, far: load.far, host }, async (subjects) => {
      for (const way of WAYS)
        for (const subject of Array.from({ length: turns }, () => subjects).flat())
          bench.record(`${host}.${way}`, ownerOf(subject), await take(way, subject.ports));
    });
  });
  for (const way of WAYS)
    await overLine(bench, link, way === "down" ? load.far.source : load.far.sink, async (port) =>
      bench.record(`${host}.${way}`, "alone", await take(way, { source: port, sink: port }, brief)),
    );
}

async function overLine(
  { load }: Bench,
  { roundTripMs, mibPerSecond }: Link,
  target: number,
  use: (port: number) => Promise<void>,
): Promise<void> {
  const line = await load.startLine(target, roundTripMs, mibPerSecond);
  try {
    await use(line.port);
  } finally {
    await line.stop();
  }
}

async function run(bench: Bench): Promise<void> {
  for (const link of LINKS) await over(bench, link);
}

/** Bulk over links of 20, 100 and 300 ms. */
export const far: Part = { name: "far", title: "Bulk over a far link", measures, run };
