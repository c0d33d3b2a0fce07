// Bulk: one connection, as fast as it goes, and the processor time it takes.
import type { Bench, Part, Turn } from "../bench.ts";
import { takeTurns } from "../bench.ts";
import type { Measure } from "../measures.ts";
import { withSubjects } from "../subjects.ts";

const SAME_CIPHER = "aes128-gcm@openssh.com";
const WAYS = ["down", "up"] as const;

const rate = { unit: "MiB/s", digits: 0, better: "more", beside: "ssh -L" } as const;
const cost = { unit: "s/GiB", digits: 2, better: "less", beside: "ssh -L" } as const;

const measures: readonly Measure[] = [
  { ...rate, name: "bulk.down", title: "download, default ciphers", mark: { of: "ratio", least: 1.3 } },
  { ...rate, name: "bulk.up", title: "upload, default ciphers", mark: { of: "ratio", least: 1.3 } },
  {
    ...cost,
    name: "bulk.cpu.down",
    title: "CPU of a download, default ciphers",
    mark: { of: "ratio", most: 0.8 },
  },
  {
    ...cost,
    name: "bulk.cpu.up",
    title: "CPU of an upload, default ciphers",
    mark: { of: "ratio", most: 0.8 },
  },
  { ...rate, name: "bulk.same.down", title: "download, both aes128-gcm", mark: { of: "ratio", least: 0.95 } },
  { ...rate, name: "bulk.same.up", title: "upload, both aes128-gcm", mark: { of: "ratio", least: 1 } },
  { ...cost, name: "bulk.same.cpu.down", title: "CPU of a download, both aes128-gcm" },
  { ...cost, name: "bulk.same.cpu.up", title: "CPU of an upload, both aes128-gcm" },
];

const turnsOf = ({ load, pace }: Bench, prefix: string): Turn[] =>
  WAYS.map((way) => async (subject, record) => {
    const before = subject.processorSeconds();
    const port = way === "down" ? subject.ports.source : subject.ports.sink;
    const { mibPerSecond = 0, mib = 0 } = await load.flow(way, port, {
      warmMs: 250 * pace,
      runMs: 1000 * pace,
    });
    record(`${prefix}.${way}`, mibPerSecond);
    record(`${prefix}.cpu.${way}`, ((subject.processorSeconds() - before) * 1024) / mib);
  });

async function run(bench: Bench): Promise<void> {
  const { sshd, load, pace } = bench;
  const { far } = load;
  for (const [prefix, ciphers] of [
    ["bulk", null],
    ["bulk.same", SAME_CIPHER],
  ] as const) {
    await withSubjects({ sshd, far, ciphers }, (subjects) =>
      takeTurns(bench, subjects, turnsOf(bench, prefix)),
    );
    for (const way of WAYS) {
      const port = way === "down" ? far.source : far.sink;
      const { mibPerSecond = 0 } = await load.flow(way, port, { warmMs: 100, runMs: 500 * pace });
      bench.record(`${prefix}.${way}`, "alone", mibPerSecond);
    }
  }
}

/** Bulk over one connection. */
export const bulk: Part = { name: "bulk", title: "Bulk, one connection", measures, run };
