/** The order of models here against the published one: a mark in the table, and sentences under it. */
import { escapeHtml } from "../../../figures/escape_html.ts";
import { type ExperimentSummary, type Figure, shownNumber } from "../summary.ts";
import { type Disagreement, disagreements, PUBLISHED, type Published } from "./paper.ts";

/** What is published of a figure, beside what came out. */
export interface Comparison {
  readonly published: Published;
  /** Values of this study by model. */
  readonly found: Readonly<Record<string, Figure>>;
  /** How many models have both. */
  readonly models: number;
  /** Pairs in another order. */
  readonly pairs: readonly Disagreement[];
}

/** All that is published of an experiment and was measured. */
export function comparisonsOf({ experiment, models }: ExperimentSummary): Comparison[] {
  return PUBLISHED.filter((published) => published.experiment === experiment.name).flatMap((published) => {
    const found = Object.fromEntries(
      models.flatMap(({ model, figures }) =>
        Object.hasOwn(figures, published.figure) ? [[model, figures[published.figure]] as const] : []
      ),
    );
    const both = Object.keys(published.values).filter((model) => Object.hasOwn(found, model)).length;
    return both < 2 ? [] : [{ published, found, models: both, pairs: disagreements(published, found) }];
  });
}

const MARK = "&#8645;";

/** A published value as a cell of a table, marked if the order of its model is another here. */
export function publishedCell({ published: { values, isOrder }, pairs }: Comparison, model: string): string {
  if (!Object.hasOwn(values, model)) return "<td></td>";
  const shown = isOrder ? `${values[model]}.` : String(values[model]);
  const others = pairs.filter(({ here, there }) => here === model || there === model).length;
  return others === 0
    ? `<td>${shown}</td>`
    : `<td>${shown} <abbr class="mark" title="another order here than with ${others} of these models">${MARK}</abbr></td>`;
}

/** What agrees and what does not, in sentences. @param why Why it may be so; may be empty. */
export function comparisonText({ published, found, models, pairs }: Comparison, why: string): string[] {
  const count = models * (models - 1) / 2, { source, values, isOrder } = published;
  const of = (model: string): string => `${model} ${shownNumber(found[model].mean)}`;
  const there = (model: string): string => `${model}${isOrder ? "" : ` ${values[model]}`}`;
  const ahead = [...new Set(pairs.map(({ here }) => here))];
  const items = ahead.map((model) => {
    const own = pairs.filter(({ here }) => here === model), unclear = own.filter(({ clear }) => !clear);
    const overlap = unclear.length === 0
      ? ""
      : ` The ranges over seeds overlap${unclear.length === own.length ? "" : ` with ${listed(unclear)}`}.`;
    const sentence = `${of(model)} is ahead of ${own.map(({ there }) => of(there)).join(", ")}; in the paper ` +
      `${own.map((pair) => there(pair.there)).join(", ")} come${own.length === 1 ? "s" : ""} before ${
        there(model)
      }.${overlap}`;
    return `<li><span class="mark">${MARK}</span> ${escapeHtml(sentence)}</li>`;
  });
  return [
    `<h3>Against the paper: ${escapeHtml(published.figure)}</h3><p>${escapeHtml(source)}. Of ${count} pairs of models ${
      count - pairs.length
    } have the order of the paper, ${pairs.length} another one${pairs.length > 0 ? ":" : "."}</p>`,
    ...(pairs.length > 0 ? [`<ul>${items.join("\n")}</ul>`] : []),
    ...(why === "" || pairs.length === 0 ? [] : [`<p>${escapeHtml(why)}</p>`]),
  ];
}

const listed = (pairs: readonly Disagreement[]): string => pairs.map(({ there }) => there).join(", ");
