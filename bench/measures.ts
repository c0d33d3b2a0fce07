// What is measured, as data; the samples of it; and what they come to.

/** What a measure is held to: a bound of tund's own figure, or of its ratio to what stands beside it. */
export interface Mark {
  of: "ratio" | "value";
  least?: number;
  most?: number;
}

export interface Measure {
  /** its name in the results: `bulk.down` */
  name: string;
  title: string;
  unit: string;
  /** digits behind the point */
  digits: number;
  better: "more" | "less";
  /** what the figure stands beside: `ssh -L`; nothing if tund's alone counts */
  beside?: string;
  mark?: Mark;
}

/** Whose figure it is: tund's, that of what stands beside it, or the load generators' with nothing between them. */
export type Owner = "tund" | "beside" | "alone";

export interface Sample {
  measure: string;
  owner: Owner;
  value: number;
}

/** What the samples of one measure come to; undefined where there are none. */
export interface Finding {
  measure: Measure;
  tund: number;
  beside?: number;
  alone?: number;
  ratio?: number;
  /** each owner's samples, in the order of the rounds */
  values: Readonly<Record<Owner, readonly number[]>>;
  isMet?: boolean;
}

/** The middle of some values; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  return (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
}

/** What was measured of a measure; undefined if nothing of tund was. */
export function findingOf(measure: Measure, samples: readonly Sample[]): Finding | undefined {
  const of = (owner: Owner): number[] =>
    samples.filter((one) => one.measure === measure.name && one.owner === owner).map(({ value }) => value);
  const values = { tund: of("tund"), beside: of("beside"), alone: of("alone") };
  if (values.tund.length === 0) return undefined;
  const tund = median(values.tund);
  const beside = values.beside.length === 0 ? undefined : median(values.beside);
  const ratio = beside === undefined ? undefined : tund / beside;
  const held = measure.mark?.of === "ratio" ? ratio : tund;
  return {
    measure,
    tund,
    values,
    ...(beside !== undefined && { beside }),
    ...(ratio !== undefined && { ratio }),
    ...(values.alone.length > 0 && { alone: median(values.alone) }),
    ...(measure.mark !== undefined && held !== undefined && { isMet: isWithin(measure.mark, held) }),
  };
}

const isWithin = (
  { least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY }: Mark,
  value: number,
) => value >= least && value <= most;
