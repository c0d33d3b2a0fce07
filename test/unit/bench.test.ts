import { describe, expect, it } from "vitest";
import type { Part } from "../../bench/bench.ts";
import { chart, timesAsGood } from "../../bench/chart.ts";
import { findingOf, type Measure, median, type Sample } from "../../bench/measures.ts";
import { readOptions } from "../../bench/options.ts";
import { comparison, sectionsOf, tables, verdict } from "../../bench/table.ts";

const more: Measure = {
  name: "bulk.down",
  title: "download <& more>",
  unit: "MiB/s",
  digits: 0,
  better: "more",
  beside: "ssh -L",
  mark: { of: "ratio", least: 1.3 },
};
const less: Measure = {
  ...more,
  name: "trip",
  title: "round trip",
  better: "less",
  mark: { of: "ratio", most: 0.8 },
};
const alone: Measure = {
  name: "idle",
  title: "idle",
  unit: "MiB",
  digits: 1,
  better: "less",
  mark: { of: "value", most: 60 },
};
const part: Part = { name: "p", title: "A part", measures: [more, less, alone], run: async () => {} };

const samples = (measure: string, tund: number[], beside: number[] = []): Sample[] => [
  ...tund.map((value): Sample => ({ measure, owner: "tund", value })),
  ...beside.map((value): Sample => ({ measure, owner: "beside", value })),
];
const all = [...samples("bulk.down", [100, 300, 200], [100, 90, 110]), ...samples("trip", [10], [10])];

describe("the benchmark's median", () => {
  it("is the middle value, or the mean of the two in the middle", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([10, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
    expect(median([])).toBeNaN();
  });
});

describe("a finding of the benchmark", () => {
  it("is the ratio of the medians, held to its mark", () => {
    expect(findingOf(more, all)).toMatchObject({ tund: 200, beside: 100, ratio: 2, isMet: true });
    expect(findingOf(less, all)).toMatchObject({ ratio: 1, isMet: false });
  });

  it("is held to a bound of its own figure where the mark says so", () => {
    expect(findingOf(alone, samples("idle", [60]))).toMatchObject({ tund: 60, isMet: true });
    expect(findingOf(alone, samples("idle", [60.1], [1]))).toMatchObject({ isMet: false });
  });

  it("is not there for what was not measured, and has no verdict without what stands beside it", () => {
    expect(findingOf(alone, all)).toBeUndefined();
    expect(findingOf(more, samples("bulk.down", [1]))).not.toHaveProperty("isMet");
  });
});

describe("the benchmark's tables", () => {
  it("have the figures with their spread, the ratio, and the mark with its verdict, in as many cells as the heading", () => {
    const text = tables(sectionsOf([part], all));
    expect(text).toContain(
      "| download <& more>, MiB/s | 200 (100–300) | 100 (90–110) | ssh -L | **2.00** | more | ≥ 1.3 | met |",
    );
    expect(text).toContain("| ≤ 0.8 | **missed** |");
    const widths = text.split("\n").flatMap((line) => (line.startsWith("|") ? [line.split("|").length] : []));
    expect(new Set(widths).size).toBe(1);
  });

  it("count the marks, and name those that were missed", () => {
    expect(verdict(sectionsOf([part], all))).toBe("1 of 2 marks met; missed: round trip");
  });

  it("put earlier results beside these ones", () => {
    const now = sectionsOf([part], samples("bulk.down", [300], [100]));
    expect(comparison(sectionsOf([part], all), now)).toContain("200 → 300 (+50 %) | 2.00 → 3.00 (+50 %)");
  });
});

describe("the benchmark's chart", () => {
  it("puts more and less on one scale, on which above 1 is better", () => {
    const [section] = sectionsOf([part], [...all.slice(0, 6), ...samples("trip", [5], [10])]);
    expect(section?.findings.map(timesAsGood)).toEqual([2, 2]);
  });

  it("is well-formed: every tag is closed, and what was a sign in a title is a text in it", () => {
    const svg = chart(sectionsOf([part], all), 'a "caption" & more');
    const open: string[] = [];
    const wrong: string[] = [];
    for (const [tag, slash, name = "", self] of svg.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
      if (slash !== "/" && self !== "/") open.push(name);
      if (slash === "/" && open.pop() !== name) wrong.push(tag);
    }
    expect({ open, wrong }).toEqual({ open: [], wrong: [] });
    expect(svg).toContain("download &lt;&amp; more&gt;");
    expect(svg).toContain("a &quot;caption&quot; &amp; more");
    expect(svg).not.toMatch(/&(?!amp;|lt;|gt;|quot;)|NaN|Infinity|undefined/);
    expect(svg.match(/<rect/g)).toHaveLength(2);
  });
});

describe("the benchmark's command line", () => {
  it("takes parts in their own order, and refuses one that is not there, or rounds that are no number", () => {
    expect(readOptions(["--only", "b,a", "--rounds", "2"], ["a", "b", "c"])).toMatchObject({
      parts: ["a", "b"],
      rounds: 2,
    });
    expect(() => readOptions(["--only", "d"], ["a"])).toThrow("usage");
    expect(() => readOptions(["--rounds", "0"], ["a"])).toThrow("usage");
  });
});
