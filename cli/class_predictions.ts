/** What is said of sequences, as a table and as JSON lines. */
import type { LabelledSequence } from "../titans/tasks/dna/labelled.ts";
import type { Judgement } from "./classify_fit.ts";
import { csvField } from "./csv.ts";

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
