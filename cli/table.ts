// An aligned table in plain ASCII. Nothing is cut off: a script may read it, and a person can widen the window.
import { visibleLine } from "../shared/visible.ts";

export interface Column<Row> {
  readonly title: string;
  /** Numbers stand to the right. */
  readonly right?: boolean;
  cell(row: Row): string;
}

/** Lays rows out under titles, a line each. An empty cell shows as `-`. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const grid = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => visibleLine(column.cell(row)) || "-")),
  ];
  const widths = columns.map((_, i) => Math.max(...grid.map((cells) => cells[i]?.length ?? 0)));
  return grid.map((cells) => {
    const padded = cells.map((cell, i) =>
      columns[i]?.right ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
    );
    return padded.join("  ").trimEnd();
  });
}
