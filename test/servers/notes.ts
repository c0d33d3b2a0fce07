// What was seen, kept on disk until the run is over: the files of a run are processes of their own.
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One cell of the table: what was tried, on which server, and how it went for each. */
export interface Note {
  row: string;
  column: string;
  ssh: string;
  tund: string;
}

const directory = fileURLToPath(new URL("../../node_modules/.cache/servers", import.meta.url));

/** Notes what was seen, if the run is to leave a table behind. */
export function note(seen: Note): void {
  if (process.env["TUND_SERVERS_TABLE"] === "1")
    appendFileSync(join(directory, String(process.pid)), `${JSON.stringify(seen)}\n`);
}

/** Forgets what earlier runs have left. */
export function clearNotes(): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
}

/** All that was noted since. */
export const readNotes = (): Note[] =>
  readdirSync(directory).flatMap((name) =>
    readFileSync(join(directory, name), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Note),
  );
