/** What is said of samples, as a table and as JSON lines. */
import type { Confusion } from "../../titans/tasks/classification/class_figures.ts";
import type { LabelledSequence } from "../../titans/tasks/classification/labelled.ts";
import type { Judgement } from "./fit.ts";
import { csvField } from "../csv.ts";
import { textTable } from "../text_table.ts";

/** Classes beyond these make a table that nobody reads; files have it. */
const MOST_SHOWN = 12;

/** Sequences with what was said of them. */
export interface Predictions {
  readonly sequences: readonly LabelledSequence[];
  readonly judgement: Pick<Judgement, "probabilities" | "predicted">;
  /** Further columns, the same for all of these sequences. */
  readonly facts?: Readonly<Record<string, string | number>>;
}

/** A prediction. */
export interface Prediction {
  readonly id: string;
  /** The class that the data names. */
  readonly class: string;
  readonly predicted: string;
  /** By class. */
  readonly probabilities: Readonly<Record<string, number>>;
}

/** One after the other. */
export function predictionsOf(
  { sequences, judgement: { probabilities, predicted } }: Predictions,
  classes: readonly string[],
): Prediction[] {
  return sequences.map(({ id, label }, i) => ({
    id,
    class: label,
    predicted: classes[predicted[i]],
    probabilities: Object.fromEntries(
      classes.map((name, c) => [name, Number(probabilities[i * classes.length + c].toPrecision(5))]),
    ),
  }));
}

/** As CSV: id, class, what was predicted, the further columns, and the probability of each class. */
export function predictionsCsv(parts: readonly Predictions[], classes: readonly string[]): string {
  const further = Object.keys(parts[0].facts ?? {});
  const head = ["id", "class", "predicted", ...further, ...classes.map((name) => `p ${name}`)];
  const rows = parts.flatMap((part) =>
    predictionsOf(part, classes).map(({ id, class: label, predicted, probabilities }) => [
      id,
      label,
      predicted,
      ...further.map((name) => part.facts![name]),
      ...classes.map((name) => probabilities[name]),
    ])
  );
  return `${[head, ...rows].map((row) => row.map(csvField).join(",")).join("\n")}\n`;
}

/** Counts by true class, in rows, and predicted class, in columns; nothing for many classes. */
export function confusionTable(confusion: Confusion, classes: readonly string[]): string {
  if (classes.length > MOST_SHOWN) return "";
  const rows = [
    ["class", ...classes.map((name) => `as ${name}`)],
    ...confusion.map((row, i) => [classes[i], ...row.map(String)]),
  ];
  return `\n${textTable(rows)}`;
}
