// What each subject was seen to do, kept on disk until the run is over: the files of a run are processes of their own.
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SubjectName } from "./subjects.ts";

/** One case of one kind of forward. */
export interface Note {
  /** the case, as its test is named */
  title: string;
  subject: SubjectName;
  kind: string;
  /** in a few words */
  did: string;
}

const directory = fileURLToPath(new URL("../../node_modules/.cache/plumbing", import.meta.url));

/** Whether the run is to leave a table behind. */
const isTableWanted = (): boolean => process.env["TUND_PLUMBING_TABLE"] === "1";

/** Notes what was seen, if anybody wants to know. */
export function note(seen: Note): void {
  if (isTableWanted()) appendFileSync(join(directory, String(process.pid)), `${JSON.stringify(seen)}\n`);
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
