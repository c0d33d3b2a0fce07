// The tables of docs/servers.md.
import type { Note } from "./notes.ts";

/** One for each of the files' subjects: what was tried is a row, the servers are columns, and below is why something failed. */
export function tables(notes: readonly Note[], ssh: string): string {
  const columns = unique(notes.map(({ column }) => column)).toSorted();
  const rows = unique(notes.map(({ row }) => row));
  const reasons: string[] = [];
  const footnote = (text: string) => {
    if (!reasons.includes(text)) reasons.push(text);
    return reasons.indexOf(text) + 1;
  };
  const cell = (row: string, column: string): string => {
    const seen = notes.find((one) => one.row === row && one.column === column);
    if (seen === undefined) return "";
    if (seen.ssh === "works" && seen.tund === "works") return "both";
    const why = [`ssh: ${words(seen.ssh)}`, `tund: ${words(seen.tund)}`].join("; ");
    const who = seen.ssh === "works" ? "ssh alone" : seen.tund === "works" ? "tund alone" : "neither";
    return `${who} [${footnote(why)}]`;
  };
  const head = ["", ...columns];
  const lines = [
    `Beside ${ssh}.`,
    "",
    line(head),
    line(head.map(() => "---")),
    ...rows.map((row) => line([`\`${row}\``, ...columns.map((column) => cell(row, column))])),
    "",
    ...reasons.map((reason, at) => `${at + 1}. ${reason}`),
  ];
  return lines.join("\n");
}

const unique = (list: readonly string[]): string[] => [...new Set(list)];
const line = (list: readonly string[]): string => `| ${list.join(" | ")} |`;

// What differs from run to run is no part of a table.
const words = (text: string): string =>
  text
    .replaceAll(/\b(?:\d{1,3}\.){3}\d{1,3}:\d+/g, "HOST")
    .replaceAll(/\/tmp\/[\w./-]+/g, "/path")
    .replaceAll(/\b\d{4,5}\b/g, "PORT")
    .replaceAll(/\r?\n/g, " / ")
    .replaceAll("|", "\\|");
