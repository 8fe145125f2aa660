/** The paper's figures of results, from the experiments of a plan: language and questions, and BABILong over length. */
import { type ExperimentSummary, type Figure, meanOf } from "../summary.ts";
import { dotPlot, lineChart, type PlacedValue } from "./charts.ts";
import { placeOf } from "./axes.ts";
import type { Drawing } from "./page.ts";

const LANGUAGE = "language", BABILONG = "babilong-", FIGURE = "accuracy";

/** Whether one of these figures shows what came out of an experiment. */
export function isInFigure(name: string): boolean {
  return name === LANGUAGE || name.startsWith(BABILONG);
}

/** Those of which there are results, with their numbers. */
export async function resultFigures(summaries: readonly ExperimentSummary[]): Promise<readonly Drawing[]> {
  const found = await Promise.all([againstBaselines(summaries), overLength(summaries)]);
  return found.filter((drawing) => drawing !== undefined);
}

/** What figure 6 shows, by the names of figures. */
const COMPARED: Readonly<Record<string, string>> = {
  bitsPerByte: "bits per byte of held-out text (lower is better)",
  "choice: next sentence: acc_norm": "next sentence, accuracy (higher is better)",
  "choice: last word: ll": "last word of a passage, ln p (higher is better)",
};

async function againstBaselines(summaries: readonly ExperimentSummary[]): Promise<Drawing | undefined> {
  const language = summaries.find(({ experiment }) => experiment.name === LANGUAGE);
  const charts = Object.entries(COMPARED).flatMap(([name, title]) => {
    const values = (language?.models ?? []).flatMap(({ model, figures }) =>
      figures[name] ? [{ model, ...figures[name] }] : []
    );
    return values.length < 2 ? [] : [dotPlot(title, values, values.find(({ chance }) => chance !== undefined)?.chance)];
  });
  if (charts.length === 0) return undefined;
  return {
    number: 6,
    title: "Language modelling and multiple choice against baselines",
    text:
      "Models of equal size after the same text. A dot is the mean over seeds, a line goes from the smallest to the " +
      "greatest; the dashed line is chance.",
    svg: (await Promise.all(charts)).join("\n"),
  };
}

async function overLength(summaries: readonly ExperimentSummary[]): Promise<Drawing | undefined> {
  const questions = summaries.filter(({ experiment }) => experiment.name.startsWith(BABILONG));
  const placed = questions.map((summary) => ({ name: summary.experiment.name, values: valuesOverLength(summary) }))
    .filter(({ values }) => values.length > 0);
  if (placed.length === 0) return undefined;
  const mean = meanOverQuestions(placed.map(({ values }) => values)), axis = "words of the text";
  const charts = placed.map(({ name, values }) =>
    lineChart({ title: `accuracy, ${name.slice(BABILONG.length)}`, axis, values, isShare: true, size: "small" })
  );
  const whole = lineChart({ title: `accuracy, mean of ${placed.length} questions`, axis, values: mean, isShare: true });
  return {
    number: 7,
    title: "BABILong against length",
    text:
      "How often facts that are scattered over a text are found, over the length of the text, by models that were " +
      "trained on short ones. Bands go from the smallest to the greatest of the seeds, where there are several.",
    svg: `${mean.length > 0 && placed.length > 1 ? await whole : ""}<div class="charts">${
      (await Promise.all(charts)).join("\n")
    }</div>`,
  };
}

/** Accuracies of lengths above that of the facts alone. */
function valuesOverLength({ models }: ExperimentSummary): PlacedValue[] {
  return models.flatMap(({ model, figures }) =>
    Object.entries(figures).flatMap(([name, value]: [string, Figure]) => {
      const { figure, at } = placeOf(name);
      return figure === FIGURE && at.length > 0 ? [{ model, at: at.length, ...value }] : [];
    })
  );
}

/** The means of what all questions have, of a model at a length. */
function meanOverQuestions(questions: readonly (readonly PlacedValue[])[]): PlacedValue[] {
  return questions[0].flatMap(({ model, at }) => {
    const all = questions.flatMap((values) => values.filter((value) => value.model === model && value.at === at));
    if (all.length < questions.length) return [];
    const mean = meanOf(all.map((value) => value.mean));
    return [{ model, at, mean, min: mean, max: mean }];
  });
}
