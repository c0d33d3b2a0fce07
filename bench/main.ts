// `npm run bench`: tund beside `ssh -N -L`, over the same sshd, in the same run. What counts is the ratio of the two: they take
// turns, round by round, so that whatever else the machine does meets both.
import { parseArgs } from "node:util";
import { startSshd } from "../test/support/sshd.ts";
import { type Figures, type Generators, type Load, startGenerators } from "./generators.ts";
import { printTable, type Sample, saveResults } from "./report.ts";
import { bareSubject, type Setting, startSshSubject, startTundSubject, type Subject } from "./subjects.ts";

const USAGE = "usage: npm run bench -- [--only throughput|latency|connections] [--rounds N] [--mib N]";
const PARTS = ["throughput", "latency", "connections"] as const;
const SAME_CIPHER = "aes128-gcm@openssh.com";
const ROUND_TRIPS = 2000;
const CONNECTIONS = 400;
// As many at a time as a browser opens to one host, and a few more.
const WIDTH = 8;

type Part = (typeof PARTS)[number];

interface Options {
  parts: readonly Part[];
  rounds: number;
  mib: number;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: "string" },
      rounds: { type: "string", default: "5" },
      mib: { type: "string", default: "512" },
    },
  });
  const parts = PARTS.filter((part) => values.only === undefined || values.only === part);
  const [rounds, mib] = [Number(values.rounds), Number(values.mib)];
  const whole = [rounds, mib].every((value) => Number.isInteger(value) && value > 0);
  if (parts.length === 0 || !whole) throw new Error(USAGE);
  return { parts, rounds, mib };
}

type Turn = Omit<Sample, "ciphers">;
type Aim = (ports: Subject["ports"]) => Load;

/** The loads of one round. The cipher is not what a round trip or a new connection waits for: those are measured once. */
function loadsOf({ parts, mib }: Options, ciphers: string | null): Aim[] {
  const loads: Record<Part, Aim[]> = {
    throughput: [
      ({ source }) => ({ kind: "down", port: source, mib }),
      ({ sink }) => ({ kind: "up", port: sink, mib }),
    ],
    latency: [({ echo }) => ({ kind: "latency", port: echo, count: ROUND_TRIPS })],
    connections: [({ echo }) => ({ kind: "connections", port: echo, count: CONNECTIONS, width: WIDTH })],
  };
  return parts.filter((part) => ciphers === null || part === "throughput").flatMap((part) => loads[part]);
}

/** One round: every load, on every subject before the next load. */
async function takeTurns(
  generators: Generators,
  subjects: readonly Subject[],
  loads: readonly Aim[],
): Promise<Turn[]> {
  const turns = loads.flatMap((aim) => subjects.map((subject) => ({ subject, load: aim(subject.ports) })));
  const taken: Turn[] = [];
  for (const { subject, load } of turns) {
    const before = subject.processorSeconds();
    const figures = await generators.measure(load);
    const spent = subject.processorSeconds() - before;
    const cost: Figures = "mib" in load ? { processorSecondsPerGiB: (spent * 1024) / load.mib } : {};
    taken.push({ subject: subject.name, kind: load.kind, figures: { ...figures, ...cost } });
  }
  return taken;
}

/** All subjects with one cipher: a round to warm up, which does not count, then the rounds. */
async function compare(setting: Setting, generators: Generators, options: Options): Promise<Sample[]> {
  const { ciphers } = setting;
  const subjects = [bareSubject(setting.far)];
  const samples: Sample[] = [];
  try {
    subjects.push(await startTundSubject(setting), await startSshSubject(setting));
    for (let round = 0; round <= options.rounds; round++) {
      // Who comes second finds the machine warmer: they change places.
      const order = round % 2 === 0 ? subjects : subjects.toReversed();
      const taken = await takeTurns(generators, order, loadsOf(options, ciphers));
      if (round > 0) samples.push(...taken.map((sample) => ({ ...sample, ciphers })));
      process.stderr.write(round === 0 ? "warm-up" : `, ${round}`);
    }
    process.stderr.write("\n");
    return samples;
  } finally {
    for (const subject of subjects) await subject.stop();
  }
}

async function main(options: Options): Promise<void> {
  const generators = await startGenerators();
  // Without them the measurement under way fails, and everything that was started is ended on the way out.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => {
      console.error(`\nbench: interrupted (${signal})`);
      void generators.stop();
    });
  try {
    const sshd = await startSshd();
    try {
      const samples: Sample[] = [];
      const ciphers = options.parts.includes("throughput") ? [null, SAME_CIPHER] : [null];
      for (const one of ciphers) {
        process.stderr.write(`ciphers: ${one ?? "default"}: rounds: `);
        samples.push(...(await compare({ sshd, far: generators.far, ciphers: one }, generators, options)));
      }
      printTable(samples);
      console.log(`\nsaved in ${await saveResults(samples, { ...options })}`);
    } finally {
      await sshd.stop();
    }
  } finally {
    await generators.stop();
  }
}

try {
  await main(readOptions(process.argv.slice(2)));
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
