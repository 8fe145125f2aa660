/** Tables as text. */

/**
 * Rows of cells under a header, in columns as wide as needed: the first, and those in `left`, to the left, the others
 * to the right.
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  left: readonly number[] = [],
): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 || left.includes(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ")
      .trimEnd();
  return [line(header), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n") + "\n";
}

/** A number with about three digits, such as `0.123`, `4.56`, `78.9` and `1235`; empty for undefined. */
export function digits(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "";
  const size = Math.abs(value);
  return value.toFixed(size < 1 ? 3 : size < 10 ? 2 : size < 100 ? 1 : 0);
}

/** Bytes in units of 10^6; empty for undefined. */
export function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? "" : digits(bytes / 1e6);
}
