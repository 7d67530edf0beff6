/** Tables for people: aligned columns, numbers to the right. */

import { plain } from "./plain.js";

/** A number is put to the right, and is written as it is. */
export type Cell = string | number;

interface Column {
  isNumeric: boolean;
  width: number;
}

/** A table that is written part by part. Columns are as wide as what has been seen of them. */
export class Table {
  private columns: Column[] | undefined;

  constructor(private readonly heading: readonly string[]) {}

  /** The lines of some rows; the first time the heading stands in front of them. */
  add(rows: readonly (readonly Cell[])[]): string {
    const isFirst = this.columns === undefined;
    this.columns = this.heading.map((title, column) => {
      const before = this.columns?.[column];
      const cells = rows.map((row) => row[column] ?? "");
      const isNumeric = cells.length > 0 && cells.every((cell) => typeof cell === "number");
      const least = before?.width ?? title.length;
      const width = cells.reduce<number>((most, cell) => Math.max(most, shown(cell).length), least);
      return { isNumeric: before?.isNumeric ?? isNumeric, width };
    });
    return (isFirst ? [this.heading, ...rows] : rows).map((row) => `${this.line(row)}\n`).join("");
  }

  private line(row: readonly Cell[]): string {
    const cells = (this.columns ?? []).map(({ isNumeric, width }, column) => {
      const cell = shown(row[column] ?? "");
      return isNumeric ? cell.padStart(width) : cell.padEnd(width);
    });
    return cells.join("  ").trimEnd();
  }
}

/** Lines of a heading and all of its rows, without an end of line behind the last. */
export function tableText(heading: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return new Table(heading).add(rows).trimEnd();
}

function shown(cell: Cell): string {
  return plain(String(cell));
}
