// GET /v1/events: how everything is, then every change, a JSON object a line.
import { Readable } from "node:stream";
import { type Clock, timestamp } from "../../shared/clock.ts";
import type { Change, Event } from "../../shared/records.ts";
import { jsonInSlices } from "../slices.ts";
import type { Registry } from "../masters/registry.ts";
import type { Turns } from "../turns.ts";

// What waits for a reader at most, besides the snapshot. One that is further behind is let go, and told so.
const MOST_BYTES = 1024 * 1024;
const LAST_WORD_MS = 10_000;

type Line = Event extends infer E ? (E extends Event ? Omit<E, "seq"> : never) : never;

/** Makes the stream; it ends when its reader goes, or is too slow. @throws TundError NOT_FOUND */
export async function eventStream(
  registry: Pick<Registry, "watch">,
  { slices, clock }: { slices: Turns; clock: Clock },
  host: string | undefined,
): Promise<Readable> {
  let seq = 0;
  let most = MOST_BYTES;
  const stream = new Readable({ read: () => undefined, destroy: (error, done) => (stop(), done(error)) });
  const push = (line: Line) => void stream.push(`${JSON.stringify({ ...line, seq: seq++ })}\n`);
  let isOver = false;
  const onEnd = () => {
    isOver = true;
    if (early === null) stream.push(null);
  };
  // What changes while the snapshot is made, the last of each.
  let early: Map<object, Change> | null = new Map();
  const onChange = (change: Change, source: object) => {
    if (early !== null) return void (early.delete(source), early.set(source, change));
    if (stream.readableLength <= most) return push(change);
    stop();
    push({ type: "overrun", at: change.at });
    onEnd();
    return void clock.after(LAST_WORD_MS, () => stream.destroy());
  };
  const { masters, forwards, stop } = await registry.watch(host, { onChange, onEnd });
  const at = timestamp(clock.now());
  stream.push(await jsonInSlices(slices, { type: "snapshot", at, masters, forwards, seq: seq++ }));
  stream.push("\n");
  most += stream.readableLength;
  const changes = [...early.values()];
  early = null;
  for (const change of changes) push(change);
  if (isOver) stream.push(null);
  return stream;
}
