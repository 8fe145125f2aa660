/** Figures of an evaluation as a table for reading. */
import { intervalOf, type PairedScore, type Score } from "../titans/mod.ts";
import { formatCount } from "./progress.ts";

/** Figures by the name of a predictor that learns nothing, or little. */
export type Floors = Readonly<Record<string, readonly Score[]>>;

const digits = (value: number | undefined): string => value === undefined ? "" : String(Number(value.toPrecision(4)));
const error = ({ standardError }: Score): string =>
  standardError === undefined ? "" : String(Number(standardError.toPrecision(2)));
const bounds = (score: Score): string => intervalOf(score)?.map((bound) => bound.toPrecision(3)).join(" .. ") ?? "";
const number = ({ count }: Score): string => count === undefined ? "" : formatCount(count);

/** Figures in columns, under a title; a column that would be empty is left out. */
export function scoreTable(scores: readonly Score[], floors: Floors, title: string): string {
  const floorOf = (floor: string, { name }: Score): string =>
    digits(floors[floor].find((other) => other.name === name)?.value);
  return titled(title, [
    ["figure", "value", "std. error", "95% interval", "chance", ...Object.keys(floors), "predictions"],
    ...scores.map((score) => [
      score.name,
      digits(score.value),
      error(score),
      bounds(score),
      digits(score.chance),
      ...Object.keys(floors).map((floor) => floorOf(floor, score)),
      number(score),
    ]),
  ]);
}

/** Figures of two models and their differences, under a title. */
export function pairedTable(paired: readonly PairedScore[], title: string): string {
  return titled(title, [
    ["figure", "value", "other", "difference", "std. error", "95% interval", "questions"],
    ...paired.map(({ name, value, other, difference }) => [
      name,
      digits(value),
      digits(other),
      digits(difference.value),
      error(difference),
      bounds(difference),
      number(difference),
    ]),
  ]);
}

/** Rows under a title, the first column to the left and the others to the right; empty columns are left out. */
function titled(title: string, rows: readonly (readonly string[])[]): string {
  const columns = rows[0].map((_, i) => i).filter((i) => rows.some((row, r) => r > 0 && row[i] !== ""));
  const widths = columns.map((i) => Math.max(...rows.map((row) => row[i].length)));
  const lines = rows.map((row) =>
    columns.map((i, c) => (i === 0 ? row[i].padEnd(widths[c]) : row[i].padStart(widths[c]))).join("  ").trimEnd()
  );
  return `${title}\n\n${lines.join("\n")}\n`;
}
