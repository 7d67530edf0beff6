/** Tables for people: aligned columns, numbers to the right. */

/** A number is put to the right, and is written as it is. */
export type Cell = string | number;

/** Lines of a heading and its rows, without an end of line behind the last. */
export function tableText(heading: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const columns = heading.map((title, column) => {
    const cells = rows.map((row) => row[column] ?? "");
    const isNumeric = cells.length > 0 && cells.every((cell) => typeof cell === "number");
    const width = cells.reduce<number>(
      (widest, cell) => Math.max(widest, shown(cell).length),
      title.length,
    );
    return { isNumeric, width };
  });
  const line = (row: readonly Cell[]) =>
    columns
      .map(({ isNumeric, width }, column) => {
        const cell = shown(row[column] ?? "");
        return isNumeric ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [heading, ...rows].map(line).join("\n");
}

function shown(cell: Cell): string {
  return plain(String(cell));
}

/** Names and notes come from whoever wrote them: what a terminal would take for a command is shown as a `?`. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}
