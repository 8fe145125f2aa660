/** Tables for reading on a terminal. */

/** Rows of texts as lines with columns that begin below each other. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd()}\n`).join("");
}
