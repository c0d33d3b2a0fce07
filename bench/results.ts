// Where what was measured is kept: everything for programs, in bench/results/; the tables and the picture in docs/ if asked.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { join, relative, resolve } from "node:path";
import { chart } from "./chart.ts";
import type { Sample } from "./measures.ts";
import { type Section, tables, verdict } from "./table.ts";

const ROOT = resolve(import.meta.dirname, "..");

interface Machine {
  processor: string;
  processors: number;
  memoryMiB: number;
  kernel: string;
  node: string;
  ssh: string;
  commit: string;
  /** what the load generators are made of */
  load: string;
}

export interface Results {
  at: string;
  machine: Machine;
  rounds: number;
  samples: readonly Sample[];
}

function saidBy(program: string, args: string[]): string {
  try {
    return execFileSync(program, args, {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trim();
  } catch {
    return "unknown";
  }
}

/** What it was measured on. */
export const thisMachine = (load: string): Machine => ({
  processor: cpus()[0]?.model ?? "unknown",
  processors: availableParallelism(),
  memoryMiB: Math.round(totalmem() / 1024 / 1024),
  kernel: `${process.platform} ${release()} ${process.arch}`,
  node: process.version,
  ssh: saidBy("sh", ["-c", "ssh -V 2>&1"]).split(",")[0] ?? "unknown",
  commit: saidBy("git", ["describe", "--always", "--dirty"]),
  load,
});

/** Writes all of it to bench/results/, as JSON and as tables, and gives the JSON's path. */
export async function keepResults(results: Results, sections: readonly Section[]): Promise<string> {
  const directory = join(import.meta.dirname, "results");
  await mkdir(directory, { recursive: true });
  const file = join(directory, results.at.replaceAll(/[:.]/g, "-"));
  await writeFile(`${file}.json`, `${JSON.stringify(results, null, 2)}\n`);
  await writeFile(`${file}.md`, documentOf(results, sections));
  await writeFile(`${file}.svg`, chart(sections, captionOf(results)));
  return relative(process.cwd(), `${file}.json`);
}

/** @throws Error when there is no such file, or it is something else */
export const readResults = async (file: string): Promise<Results> =>
  JSON.parse(await readFile(file, "utf8")) as Results;

/** Writes docs/benchmark.md and docs/benchmark.svg. */
export async function publish(results: Results, sections: readonly Section[]): Promise<void> {
  const file = join(ROOT, "docs", "benchmark");
  await writeFile(`${file}.md`, documentOf(results, sections));
  await writeFile(`${file}.svg`, chart(sections, captionOf(results)));
  spawnSync("npx", ["oxfmt", "docs/benchmark.md"], { cwd: ROOT, stdio: "inherit" });
}

const captionOf = ({ at, machine }: Results): string =>
  `${machine.processors} × ${machine.processor}, Node ${machine.node.slice(1)}, ${machine.ssh}, ${at.slice(0, 10)}`;

const documentOf = (results: Results, sections: readonly Section[]): string => `# tund beside ssh, in figures

Written by \`npm run bench -- --save\`: tund and OpenSSH's own \`ssh\` over the same sshd on one machine's loopback, in turns,
${results.rounds} rounds. The figures are medians, with the least and the most of the rounds in brackets; what counts is the ratio, since
whatever else the machine did met both. "Bare" is what the load generators (${results.machine.load}) do with nothing between them. A far
link is a delay line in user space: it shows what SSH's own windows do with a distance, and nothing of TCP's. An idle round trip
is mostly the waking of idle processors, which bare loopback pays as well: it draws the ratio towards 1.

![how many times as good as ssh](benchmark.svg)

${captionOf(results)}, all of it on these processors. ${verdict(sections)}.

${tables(sections)}`;
