// Going through a text file line by line, in slices of the event loop, however long the file and its lines are.
import { FileError, type OpenFile } from "./files.ts";
import type { Turns } from "./turns.ts";

/** A line, without its end. */
export interface Line {
  /** a letter is a byte (latin1) */
  text: string;
  /** counted from 1 */
  number: number;
  /** where it is in the file, in bytes, with its end */
  span: { from: number; to: number };
}

const MOST_BYTES = 64 * 1024 * 1024;
const MOST_LINE_BYTES = 128 * 1024;
const CHUNK_BYTES = 64 * 1024;

/**
 * Calls `onLine` for each line, or until it says that it has seen enough.
 * @param head what was read of the file before
 * @throws FileError for a file of more than 64 MiB, or a line of more than 128 KiB; what reading and `onLine` throw
 */
export async function goThrough(
  file: OpenFile,
  slices: Turns,
  onLine: (line: Line) => "enough" | undefined | Promise<undefined>,
  head = "",
): Promise<void> {
  if (file.stats.size > MOST_BYTES) throw tooLarge(file);
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let [rest, from, number] = [head, 0, 0];
  for (let isEnd = false; !isEnd;) {
    const count = await file.read(chunk);
    await slices.next();
    isEnd = count === 0;
    const lines = `${rest}${chunk.toString("latin1", 0, count)}`.split("\n");
    rest = isEnd ? "" : (lines.pop() ?? "");
    for (const text of lines) {
      number++;
      const to = from + text.length + 1;
      refuseLong(file, text, number);
      if (slices.isOver) await slices.next();
      const said = onLine({ text, number, span: { from, to } });
      if (said === "enough") return;
      if (said !== undefined) await said;
      from = to;
    }
    refuseLong(file, rest, number + 1);
    if (from > MOST_BYTES) throw tooLarge(file);
  }
}

const tooLarge = ({ path }: OpenFile): FileError =>
  new FileError(path, `it is larger than ${MOST_BYTES >> 20} MiB`);

function refuseLong({ path }: OpenFile, text: string, number: number): void {
  if (text.length > MOST_LINE_BYTES)
    throw new FileError(path, `its line ${number} is longer than ${MOST_LINE_BYTES >> 10} KiB`);
}
