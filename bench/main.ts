// `npm run bench`: tund beside `ssh -N -L`, over the same sshd, in the same run. What counts is the ratio of the two.
import { startSshd } from "../test/support/sshd.ts";
import type { Bench, Part } from "./bench.ts";
import { startGenerators } from "./generators.ts";
import type { Sample } from "./measures.ts";
import { type Options, readOptions } from "./options.ts";
import { bulk } from "./parts/bulk.ts";
import { commands } from "./parts/commands.ts";
import { connections } from "./parts/connections.ts";
import { crowd } from "./parts/crowd.ts";
import { far } from "./parts/far.ts";
import { login } from "./parts/login.ts";
import { memory } from "./parts/memory.ts";
import { outage } from "./parts/outage.ts";
import { roundTrip } from "./parts/round-trip.ts";
import { streams } from "./parts/streams.ts";
import { thousand } from "./parts/thousand.ts";
import { keepResults, publish, readResults, thisMachine } from "./results.ts";
import { comparison, sectionsOf, tables, verdict } from "./table.ts";

const PARTS: readonly Part[] = [
  bulk,
  streams,
  roundTrip,
  connections,
  crowd,
  far,
  memory,
  login,
  commands,
  thousand,
  outage,
];

/** Runs the parts one after the other. One that fails is told of, and the others go on; gives what failed. */
async function runParts(bench: Bench, parts: readonly Part[]): Promise<string[]> {
  const failed: string[] = [];
  for (const part of parts) {
    const started = performance.now();
    try {
      await part.run(bench);
      bench.note(`${part.name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
    } catch (error) {
      if (bench.interrupted.aborted) throw error;
      bench.note(`${part.name} failed: ${error instanceof Error ? error.message : String(error)}`);
      failed.push(part.name);
    }
  }
  return failed;
}

/** Measures on an sshd of its own. Once it is interrupted nothing more is recorded: what is under way fails, and all is ended. */
async function measure(options: Options, samples: Sample[]): Promise<{ kind: string; failed: string[] }> {
  const load = await startGenerators();
  const interrupted = interruption();
  try {
    const sshd = await startSshd({ config: ["MaxSessions 1000", "MaxStartups 10000", "LogLevel INFO"] });
    try {
      const bench: Bench = {
        sshd,
        load,
        rounds: options.rounds,
        pace: options.pace,
        interrupted,
        record: (name, owner, value) => {
          interrupted.throwIfAborted();
          samples.push({ measure: name, owner, value });
        },
        note: (text) => console.error(text),
      };
      const parts = PARTS.filter(({ name }) => options.parts.includes(name));
      return { kind: load.kind, failed: await runParts(bench, parts) };
    } finally {
      await sshd.stop();
    }
  } finally {
    await load.stop();
  }
}

/** Aborted by the first signal that asks us to end; a second one ends us at once. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => controller.abort(new Error(`interrupted (${signal})`)));
  return controller.signal;
}

async function main(options: Options): Promise<void> {
  const before = options.compare === null ? null : await readResults(options.compare);
  // Whatever runs in the background is ended with us: a listener each, and sixty hosts with their clients are no leak.
  process.setMaxListeners(200);
  const samples: Sample[] = [];
  const { kind, failed } = await measure(options, samples);
  const sections = sectionsOf(PARTS, samples);
  const results = {
    at: new Date().toISOString(),
    machine: thisMachine(kind),
    rounds: options.rounds,
    samples,
  };
  console.log(`${tables(sections)}\n${verdict(sections)}\nload generators: ${kind}`);
  if (before !== null) console.log(`\n${comparison(sectionsOf(PARTS, before.samples), sections)}`);
  console.log(`\nkept in ${await keepResults(results, sections)}`);
  if (options.save) await publish(results, sections);
  if (failed.length > 0) throw new Error(`failed: ${failed.join(", ")}`);
}

try {
  await main(
    readOptions(
      process.argv.slice(2),
      PARTS.map(({ name }) => name),
    ),
  );
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
