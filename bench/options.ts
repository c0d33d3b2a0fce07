// The command line of the benchmark.
import { parseArgs } from "node:util";

export interface Options {
  /** names of parts, in their order */
  parts: readonly string[];
  rounds: number;
  pace: number;
  save: boolean;
  /** path of earlier results */
  compare: string | null;
}

const USAGE = (parts: readonly string[]): string =>
  `usage: npm run bench -- [--only PART[,PART]] [--rounds N] [--quick] [--save] [--compare FILE]
parts: ${parts.join(", ")}`;

/** Reads it. @throws Error with how to say it when it makes no sense */
export function readOptions(args: readonly string[], all: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", default: all.join(",") },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      save: { type: "boolean", default: false },
      compare: { type: "string" },
    },
  });
  const asked = values.only.split(",");
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 4));
  const unknown = asked.filter((name) => !all.includes(name));
  if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) throw new Error(USAGE(all));
  return {
    parts: all.filter((name) => asked.includes(name)),
    rounds,
    pace: values.quick ? 0.5 : 1,
    save: values.save,
    compare: values.compare ?? null,
  };
}
