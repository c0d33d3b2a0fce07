// Many inputs of one kind, each from a seed: a fixed number of them in `npm test`, as many as there is time for in `npm run fuzz`.
import { expect } from "vitest";
import { Random } from "./random.ts";
import { watchEventLoop } from "./watchdog.ts";

const DEFAULT_SEED = 17;

/** What `npm run fuzz` asks for, by its environment. */
const wish = (name: string): number | undefined => {
  const value = process.env[`HOSTILE_${name}`];
  return value === undefined ? undefined : Number(value);
};

/** How long a test with a campaign in it may take, in milliseconds. */
export const CAMPAIGN_MS = (wish("MS") ?? 0) + 120_000;

export interface Campaign {
  /** the kind of input, as `npm run fuzz -- --only KIND` names it */
  kind: string;
  /** how many inputs `npm test` tries */
  inputs: number;
  /** how many parts are under way at once */
  atOnce?: number;
  /** Tries a part, which its choices decide; answers how many inputs it had. What it throws is a finding. */
  part: (random: Random) => number | Promise<number>;
}

/** Runs it. Fails with what was found, each finding with the seed and the part that bring it again. */
export async function run({ kind, inputs, atOnce = 1, part }: Campaign): Promise<void> {
  const chosen = process.env["HOSTILE_ONLY"] ?? "";
  if (chosen !== "" && chosen !== kind) return;
  const seed = wish("SEED") ?? DEFAULT_SEED;
  const only = wish("PART");
  const until = performance.now() + (wish("MS") ?? Infinity);
  const isTimed = wish("MS") !== undefined;
  const random = new Random(seed);
  const findings = new Findings();
  const started = performance.now();
  let [next, tried] = [only ?? 0, 0];
  const isOver = () =>
    only === undefined ? (isTimed ? performance.now() >= until : tried >= inputs) : next > only;
  let yielded = 0;
  const work = async () => {
    while (!isOver()) {
      const number = next++;
      findings.begin(number);
      try {
        const had = await part(random.fork(number));
        tried += had; // not in one: others are counted meanwhile
      } catch (error) {
        findings.add(error, [number]);
      }
      findings.end(number);
      // What has nothing to wait for would never let go of the event loop, and be taken for what holds it.
      if (performance.now() - yielded > 20) {
        await nextTurn();
        yielded = performance.now();
      }
    }
  };
  const stop = findings.watchProcess();
  const stopWatching = watchEventLoop((stack) => findings.hold(stack));
  try {
    await Promise.all(Array.from({ length: only === undefined ? atOnce : 1 }, work));
    await nextTurn(); // a rejection is told of a turn later
  } finally {
    await stopWatching();
    stop();
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `hostile: ${kind}: seed ${seed}: ${tried} inputs in ${next} parts, ${seconds} s, ${findings.size} found`,
  );
  expect(findings.told(seed)).toEqual([]);
}

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

interface Finding {
  text: string;
  times: number;
  parts: readonly number[];
}

/** What went wrong, each way of going wrong once. */
class Findings {
  readonly #all = new Map<string, Finding>();
  readonly #underWay = new Set<number>();

  get size(): number {
    return this.#all.size;
  }

  begin(part: number): void {
    this.#underWay.add(part);
  }

  end(part: number): void {
    this.#underWay.delete(part);
  }

  add(error: unknown, parts: readonly number[]): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    // Where it was thrown says which it is; the message has the numbers of this one time.
    const key = /^\s+at .*$/m.exec(text)?.[0] ?? text;
    if (!this.#all.has(key)) console.log(`hostile: part ${parts.join(" or ")}: ${text}`);
    const seen = this.#all.get(key);
    if (seen === undefined) this.#all.set(key, { text, times: 1, parts });
    else seen.times++;
  }

  /** The event loop stood still. */
  hold(stack: string): void {
    this.add(`the event loop stood still\n${stack}`, [...this.#underWay]);
  }

  /** Takes what nobody caught from the test runner, which knows no seeds. The answer gives it back. */
  watchProcess(): () => void {
    const names = ["uncaughtException", "unhandledRejection"] as const;
    const before = names.map((name) => process.rawListeners(name) as ((error: Error) => void)[]);
    const found = (error: unknown) => this.add(error, [...this.#underWay]);
    for (const name of names) process.removeAllListeners(name).on(name, found);
    return () => {
      for (const [index, name] of names.entries()) {
        process.removeAllListeners(name);
        for (const listener of before[index] ?? []) process.on(name, listener);
      }
    };
  }

  told(seed: number): string[] {
    return [...this.#all.values()].map(
      ({ text, times, parts }) => `seed ${seed}, part ${parts.join(" or ")}, ${times} times: ${text}`,
    );
  }
}
