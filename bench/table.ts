// What was found, as Markdown.
import type { Part } from "./bench.ts";
import { type Finding, findingOf, type Mark, median, type Owner, type Sample } from "./measures.ts";

export interface Section {
  part: Part;
  findings: readonly Finding[];
}

/** The parts of which something was measured, with what was found. */
export const sectionsOf = (parts: readonly Part[], samples: readonly Sample[]): Section[] =>
  parts
    .map((part) => ({
      part,
      findings: part.measures.flatMap((measure) => findingOf(measure, samples) ?? []),
    }))
    .filter(({ findings }) => findings.length > 0);

const spread = (values: readonly number[], digits: number): string => {
  const [least, most] = [Math.min(...values).toFixed(digits), Math.max(...values).toFixed(digits)];
  return least === most ? "" : ` (${least}–${most})`;
};

function cell({ measure, values }: Finding, owner: Owner): string {
  const { digits } = measure;
  const all = values[owner];
  return all.length === 0 ? "" : `${median(all).toFixed(digits)}${spread(all, digits)}`;
}

/** A mark in a few signs: `≥ 1.3`, or `≤ 60 MiB`. */
function markText({ of, least, most }: Mark, unit: string): string {
  const bound = least === undefined ? `≤ ${most}` : `≥ ${least}`;
  return of === "ratio" ? bound : `${bound} ${unit}`;
}

function row(finding: Finding): string {
  const { measure, ratio, isMet } = finding;
  const { title, unit, better, beside, mark } = measure;
  const cells = [
    `${title}, ${unit}`,
    cell(finding, "tund"),
    cell(finding, "beside"),
    beside ?? "",
    ratio === undefined ? "" : `**${ratio.toFixed(2)}**`,
    better,
    mark === undefined ? "" : markText(mark, unit),
    isMet === undefined ? "" : isMet ? "met" : "**missed**",
    cell(finding, "alone"),
  ];
  return `| ${cells.join(" | ")} |`;
}

const HEADING = `| median (least–most) | tund | beside it | which is | ratio | better is | mark | | bare |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |`;

/** A table for each part. */
export const tables = (sections: readonly Section[]): string =>
  sections
    .map(({ part, findings }) => `## ${part.title}\n\n${HEADING}\n${findings.map(row).join("\n")}\n`)
    .join("\n");

/** How many marks were met, of how many. */
export function verdict(sections: readonly Section[]): string {
  const marked = sections.flatMap(({ findings }) => findings).filter(({ isMet }) => isMet !== undefined);
  const missed = marked.filter(({ isMet }) => isMet === false).map(({ measure }) => measure.title);
  const list = missed.length === 0 ? "" : `; missed: ${missed.join("; ")}`;
  return `${marked.length - missed.length} of ${marked.length} marks met${list}`;
}

/** Earlier findings beside these ones: tund's figures and ratios, and what they changed by. */
export function comparison(then: readonly Section[], now: readonly Section[]): string {
  const before = new Map(
    then.flatMap(({ findings }) => findings).map((finding) => [finding.measure.name, finding]),
  );
  const change = (from: number | undefined, to: number | undefined, digits: number): string =>
    from === undefined || to === undefined
      ? ""
      : `${from.toFixed(digits)} → ${to.toFixed(digits)} (${to >= from ? "+" : ""}${((to / from - 1) * 100).toFixed(0)} %)`;
  const lines = now
    .flatMap(({ findings }) => findings)
    .flatMap((finding) => {
      const { measure, tund, ratio } = finding;
      const earlier = before.get(measure.name);
      if (earlier === undefined) return [];
      const cells = [
        `${measure.title}, ${measure.unit}`,
        change(earlier.tund, tund, measure.digits),
        change(earlier.ratio, ratio, 2),
        measure.better,
      ];
      return [`| ${cells.join(" | ")} |`];
    });
  return `| before → now | tund | ratio | better is |\n| --- | --- | --- | --- |\n${lines.join("\n")}`;
}
