// What was measured, for people (a Markdown table of ratios) and for programs (JSON, with the machine it was measured on).
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { join, relative, resolve } from "node:path";
import type { Figures, Load } from "./generators.ts";
import type { Subject } from "./subjects.ts";

/** One turn of one subject. */
export interface Sample {
  subject: Subject["name"];
  kind: Load["kind"];
  /** null: each program's own preference */
  ciphers: string | null;
  figures: Figures;
}

/** A line of the table: which samples, which of their figures, and how to write it. */
interface Row {
  title: string;
  kind: Load["kind"];
  ciphers?: string | null;
  figure: string;
  unit: string;
  digits: number;
  better: "more" | "less";
}

const transfer: readonly Omit<Row, "kind" | "ciphers">[] = [
  { title: "throughput", figure: "mibPerSecond", unit: "MiB/s", digits: 0, better: "more" },
  { title: "processor time", figure: "processorSecondsPerGiB", unit: "s/GiB", digits: 2, better: "less" },
];

const rows = (samples: readonly Sample[]): Row[] => {
  const measured = new Set(samples.map(({ ciphers }) => ciphers));
  const throughput = [...measured].flatMap((ciphers) =>
    transfer.flatMap((row) =>
      (["down", "up"] as const).map((kind) => ({
        ...row,
        kind,
        ciphers,
        title: `${row.title} ${kind}, ${ciphers ?? "default ciphers"}`,
      })),
    ),
  );
  const echo = { kind: "latency", unit: "µs", digits: 0, better: "less" } as const;
  return [
    ...throughput,
    { ...echo, title: "round trip of 64 B, idle, p50", figure: "p50" },
    { ...echo, title: "round trip of 64 B, idle, p99", figure: "p99" },
    {
      title: "new connections",
      kind: "connections",
      figure: "perSecond",
      unit: "1/s",
      digits: 0,
      better: "more",
    },
  ];
};

const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle - 1)] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
};

const spread = (values: readonly number[], digits: number): string =>
  `${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)}`;

function line(row: Row, samples: readonly Sample[]): string | undefined {
  const values = (subject: Sample["subject"]): number[] =>
    samples
      .filter((sample) => sample.subject === subject && sample.kind === row.kind)
      .filter((sample) => row.ciphers === undefined || sample.ciphers === row.ciphers)
      .map((sample) => sample.figures[row.figure] ?? Number.NaN)
      .filter((value) => !Number.isNaN(value));
  const [tund, ssh, bare] = [values("tund"), values("ssh"), values("bare")];
  if (tund.length === 0 || ssh.length === 0) return undefined;
  const cell = (all: number[]): string =>
    all.length === 0 ? "" : `${median(all).toFixed(row.digits)} (${spread(all, row.digits)})`;
  // The two of one round met the same machine, so each round has a ratio of its own.
  const ratios = tund.map((value, round) => value / (ssh[round] ?? Number.NaN));
  const ratio = `**${(median(tund) / median(ssh)).toFixed(2)}** (${spread(ratios, 2)})`;
  return `| ${row.title}, ${row.unit} | ${cell(tund)} | ${cell(ssh)} | ${ratio} | ${row.better} | ${cell(bare)} |`;
}

/** Prints medians with the rounds' spread in brackets, and tund's ratio to ssh. */
export function printTable(samples: readonly Sample[]): void {
  const lines = rows(samples).map((row) => line(row, samples));
  console.log(`
| median (least–most) | tund | ssh -N -L | tund / ssh | better is | bare loopback |
|---|---|---|---|---|---|
${lines.filter((text) => text !== undefined).join("\n")}

Bare loopback is what the load generators do with nothing between them; where a program comes near to it, the figure says
more about them than about it.`);
}

function versionOf(program: string, args: string[]): string {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  } catch {
    return "unknown";
  }
}

/** Writes everything to bench/results/ and gives the file's path. */
export async function saveResults(samples: readonly Sample[], options: object): Promise<string> {
  const directory = resolve(import.meta.dirname, "results");
  await mkdir(directory, { recursive: true });
  const at = new Date().toISOString();
  const file = join(directory, `${at.replaceAll(/[:.]/g, "-")}.json`);
  const machine = {
    processor: cpus()[0]?.model ?? "unknown",
    processors: availableParallelism(),
    memoryMiB: Math.round(totalmem() / 1024 / 1024),
    kernel: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    ssh: versionOf("sh", ["-c", "ssh -V 2>&1"]),
    commit: versionOf("git", ["describe", "--always", "--dirty"]),
  };
  await writeFile(file, `${JSON.stringify({ at, machine, options, samples }, null, 2)}\n`);
  return relative(process.cwd(), file);
}
