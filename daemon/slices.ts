// Work that is as long as a list: done in slices, between which everybody else has their turn.
import { setImmediate as nextTurn } from "node:timers/promises";

// Of a turn of the event loop.
const SLICE_MS = 2;

/** Makes something of each item, in order. What is made of a later one is made later, and may be of another time. */
export async function inSlices<Item, Made>(
  items: readonly Item[],
  make: (item: Item) => Made,
): Promise<Made[]> {
  const made: Made[] = [];
  let began = performance.now();
  for (const item of items) {
    if (performance.now() - began > SLICE_MS) {
      await nextTurn();
      began = performance.now();
    }
    made.push(make(item));
  }
  return made;
}

/** The JSON text of an object, whose lists may be long. */
export async function jsonInSlices(object: object): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let start = "{";
  for (const [name, value] of Object.entries(object)) {
    if (value === undefined) continue;
    const isList = Array.isArray(value);
    const items: unknown[] = isList ? value : [value];
    pieces.push(Buffer.from(`${start}${JSON.stringify(name)}:${isList ? "[" : ""}`));
    let comma = "";
    const texts = await inSlices(items, (item) => {
      const text = Buffer.from(comma + JSON.stringify(item));
      comma = ",";
      return text;
    });
    for (const text of texts) pieces.push(text);
    start = isList ? "]," : ",";
  }
  pieces.push(Buffer.from(start === "{" ? "{}" : `${start.slice(0, -1)}}`));
  return Buffer.concat(pieces);
}
