// What ran in a stretch of time, from V8's profile of it.

interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
}

/** Profiler.Profile of the Chrome DevTools Protocol; times in microseconds of the machine's monotonic clock. */
export interface Profile {
  startTime: number;
  nodes: ProfileNode[];
  samples: number[];
  timeDeltas: number[];
}

const FRAMES = 4;
const MOST = 0.35;

/**
 * The stack in which most of the time from `start` to `end` (milliseconds) went, innermost function first, and its share;
 * null when there is no sample of it.
 */
export function whatRan(profile: Profile, start: number, end: number): string | null {
  const own = samplesWithin(profile, start, end);
  const all = [...own.values()].reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const totals = new Map<number, number>();
  const total = (node: ProfileNode): number => {
    const sum =
      (own.get(node.id) ?? 0) + children(node, byId).reduce((rest, child) => rest + total(child), 0);
    totals.set(node.id, sum);
    return sum;
  };
  const [root] = profile.nodes;
  if (root === undefined) return null;
  total(root);
  const path: ProfileNode[] = [];
  for (let node: ProfileNode | undefined = root; node !== undefined;) {
    const heaviest: ProfileNode | undefined = children(node, byId).toSorted(
      (a, b) => (totals.get(b.id) ?? 0) - (totals.get(a.id) ?? 0),
    )[0];
    // Below that, its time is spread over many.
    if (heaviest === undefined || (totals.get(heaviest.id) ?? 0) < MOST * (totals.get(node.id) ?? 0)) break;
    path.push(heaviest);
    node = heaviest;
  }
  const share = Math.round((100 * (totals.get(path.at(-1)?.id ?? root.id) ?? 0)) / all);
  // The innermost one whatever it is, and who of tund's and its packages' called it.
  const frames = path
    .toReversed()
    .filter(({ callFrame: { url } }, index) => index === 0 || !(url === "" || url.startsWith("node:")))
    .slice(0, FRAMES)
    .map(frameText);
  return frames.length === 0 ? "many functions" : `${frames.join(" < ")} (${share} %)`;
}

function samplesWithin(profile: Profile, start: number, end: number): Map<number, number> {
  const idle = new Set(
    profile.nodes.filter(({ callFrame }) => callFrame.functionName === "(idle)").map(({ id }) => id),
  );
  const own = new Map<number, number>();
  let at = profile.startTime;
  for (const [index, id] of profile.samples.entries()) {
    at += profile.timeDeltas[index] ?? 0;
    if (at < start * 1000 || at > end * 1000 || idle.has(id)) continue;
    own.set(id, (own.get(id) ?? 0) + 1);
  }
  return own;
}

const children = (node: ProfileNode, byId: ReadonlyMap<number, ProfileNode>): ProfileNode[] =>
  (node.children ?? []).flatMap((id) => byId.get(id) ?? []);

function frameText({ callFrame }: ProfileNode): string {
  const { functionName, url, lineNumber } = callFrame;
  const name = functionName === "" ? "(anonymous)" : functionName;
  const file = url.replace(/^.*\/(?:node_modules|dist)\//, "");
  return file === "" ? name : `${name} ${file}:${lineNumber + 1}`;
}
