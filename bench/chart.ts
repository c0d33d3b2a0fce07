// The ratios as a picture: an SVG that is read in light and in dark, with nothing but rectangles and text.
import type { Finding } from "./measures.ts";
import type { Section } from "./table.ts";

const WIDTH = 760;
const LABELS = 330; // the column of the titles
const ROW = 22;
const TOP = 56;
const RIGHT = 60; // room for the figure behind the longest bar

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .quiet { fill: #59636e; font-size: 12px }
  .better { fill: #1a7f37 } .worse { fill: #bc4c00 } .one { stroke: #59636e }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .quiet { fill: #9198a1 }
    .better { fill: #3fb950 } .worse { fill: #f0883e } .one { stroke: #9198a1 }
  }`;

/** What is in the picture: what has a mark beside ssh, and far links. */
const isShown = ({ measure, ratio }: Finding): boolean =>
  ratio !== undefined &&
  ratio > 0 &&
  Number.isFinite(ratio) &&
  (measure.beside?.startsWith("ssh") ?? false) &&
  (measure.mark?.of === "ratio" || measure.name.startsWith("far."));

/** How many times as good as what stands beside it: above 1 is better, whichever way the measure goes. */
export const timesAsGood = ({ measure, ratio = Number.NaN }: Finding): number =>
  measure.better === "more" ? ratio : 1 / ratio;

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** A figure in as many digits as tell something. */
const figure = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(0)}×`;

/** The picture. `caption` says where and when it was measured. */
export function chart(sections: readonly Section[], caption: string): string {
  const shown = sections.flatMap(({ findings }) => findings).filter(isShown);
  const exponents = shown.map((finding) => Math.log2(timesAsGood(finding)));
  // At least one doubling to each side, so that a small difference looks small.
  const [low, high] = [Math.min(-1, ...exponents), Math.max(1, ...exponents)];
  const x = (exponent: number): number =>
    LABELS + ((exponent - low) / (high - low)) * (WIDTH - LABELS - RIGHT);
  const one = x(0);
  const bottom = TOP + shown.length * ROW;
  const bars = shown.map((finding, index) => {
    const value = timesAsGood(finding);
    const end = x(Math.log2(value));
    const y = TOP + index * ROW;
    const [from, width] = [Math.min(one, end), Math.max(1, Math.abs(end - one))];
    return `<text x="${LABELS - 60}" y="${y + 15}" text-anchor="end">${escape(finding.measure.title)}</text>
<rect class="${value >= 1 ? "better" : "worse"}" x="${from.toFixed(1)}" y="${y + 4}" width="${width.toFixed(1)}" height="${ROW - 8}" rx="2"/>
<text class="quiet" x="${(Math.max(one, end) + 6).toFixed(1)}" y="${y + 15}">${figure(value)}</text>`;
  });
  const height = bottom + 34;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="tund beside ssh">
<style>${STYLE}
</style>
<text class="title" x="12" y="22">tund beside ssh: how many times as good</text>
<text class="quiet" x="12" y="42">to the right of the line is better; each doubling is as wide as the last</text>
${bars.join("\n")}
<line class="one" x1="${one.toFixed(1)}" y1="${TOP - 4}" x2="${one.toFixed(1)}" y2="${bottom + 4}"/>
<text class="quiet" x="12" y="${bottom + 24}">${escape(caption)}</text>
</svg>
`;
}
