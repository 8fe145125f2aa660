/** Figures of an evaluation as a table for reading. */
import { intervalOf, type Score } from "../titans/mod.ts";
import { formatCount } from "./progress.ts";

/** Figures by the name of a predictor that learns nothing, or little. */
export type Floors = Readonly<Record<string, readonly Score[]>>;

/** Figures in columns, under a title; a column that would be empty is left out. */
export function scoreTable(scores: readonly Score[], floors: Floors, title: string): string {
  const digits = (value: number | undefined): string => value === undefined ? "" : String(Number(value.toPrecision(4)));
  const bounds = (score: Score): string => {
    const interval = intervalOf(score);
    return interval === undefined ? "" : interval.map((bound) => bound.toPrecision(3)).join(" .. ");
  };
  const floorOf = (floor: string, { name }: Score): string =>
    digits(floors[floor].find((other) => other.name === name)?.value);
  const rows = [
    ["figure", "value", "std. error", "95% interval", "chance", ...Object.keys(floors), "predictions"],
    ...scores.map((score) => [
      score.name,
      digits(score.value),
      score.standardError === undefined ? "" : String(Number(score.standardError.toPrecision(2))),
      bounds(score),
      digits(score.chance),
      ...Object.keys(floors).map((floor) => floorOf(floor, score)),
      score.count === undefined ? "" : formatCount(score.count),
    ]),
  ];
  const columns = rows[0].map((_, i) => i).filter((i) => rows.some((row, r) => r > 0 && row[i] !== ""));
  const widths = columns.map((i) => Math.max(...rows.map((row) => row[i].length)));
  const lines = rows.map((row) =>
    columns.map((i, c) => (i === 0 ? row[i].padEnd(widths[c]) : row[i].padStart(widths[c]))).join("  ").trimEnd()
  );
  return `${title}\n\n${lines.join("\n")}\n`;
}
