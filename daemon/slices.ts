// Work that is as long as a list: done in slices, between which everybody else has their turn.
import type { Turns } from "./turns.ts";

// Of a list, in one piece of its text.
const GROUP = 32;

/** Makes something of each item, in order. What is made of a later one is made later, and may be of another time. */
export async function inSlices<Item, Made>(
  slices: Turns,
  items: readonly Item[],
  make: (item: Item) => Made | Promise<Made>,
): Promise<Made[]> {
  const made: Made[] = [];
  for (const item of items) {
    if (slices.isOver) await slices.next();
    const one = make(item);
    made.push(one instanceof Promise ? await one : one);
  }
  return made;
}

/** The JSON text of an object, whose lists may be long. */
export async function jsonInSlices(slices: Turns, object: object): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let comma = "";
  for (const [name, value] of Object.entries(object)) {
    if (value === undefined) continue;
    const start = `${comma}${JSON.stringify(name)}:`;
    if (Array.isArray(value))
      pieces.push(Buffer.from(`${start}[`), ...(await listInSlices(slices, value)), Buffer.from("]"));
    else pieces.push(Buffer.from(start + JSON.stringify(value)));
    comma = ",";
  }
  return Buffer.concat([Buffer.from("{"), ...pieces, Buffer.from("}")]);
}

function listInSlices(slices: Turns, items: readonly unknown[]): Promise<Buffer[]> {
  const starts = Array.from({ length: Math.ceil(items.length / GROUP) }, (_, index) => index * GROUP);
  return inSlices(slices, starts, (start) => {
    const text = JSON.stringify(items.slice(start, start + GROUP)).slice(1, -1);
    return Buffer.from(start === 0 ? text : `,${text}`);
  });
}
