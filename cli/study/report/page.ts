/** The report of a study: one page without scripts that loads nothing. */
import { factsTable, htmlPage } from "../../html_page.ts";
import { escapeHtml } from "../../../figures/escape_html.ts";
import type { StudyPlan } from "../plan.ts";
import {
  type ExperimentSummary,
  type Figure,
  type ModelSummary,
  shownFigure,
  shownFigures,
  tabledFigures,
} from "../summary.ts";
import { type FigureSeries, seriesOf } from "./axes.ts";
import { dotPlot, heatMap, lineChart } from "./charts.ts";
import { type Comparison, comparisonsOf, comparisonText, publishedCell } from "./comparison.ts";
import { isInFigure, resultFigures } from "./result_figures.ts";

/** A drawing with its text, as HTML. */
export interface Drawing {
  /** The number of the figure in the paper that it redraws. */
  readonly number: number;
  /** What it shows, as a heading. */
  readonly title: string;
  /** What to see in it. */
  readonly text: string;
  /** An `svg` element, or several. */
  readonly svg: string;
}

/** What a page is made of. */
export interface StudyPage {
  readonly plan: StudyPlan;
  readonly summaries: readonly ExperimentSummary[];
  /** Figures that explain the models, in order. */
  readonly drawings: readonly Drawing[];
  /** The machine, the command and how long it took, as rows of a table. */
  readonly facts: readonly (readonly [name: string, value: string])[];
}

const STYLE = `
:root { color-scheme: light dark; --text: #1c1e21; --soft: #5a5f66; --page: #ffffff; --rule: #d9dce0; --mark: #9a3412; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e7e9; --soft: #a6abb2; --page: #16181b; --rule: #3a3e44; --mark: #fdba74; } }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin-top: 1.5rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; padding: 0; list-style: none; } a { color: inherit; }
figure { margin: 1rem 0; overflow-x: auto; } figure svg { max-width: 100%; min-width: 24rem; height: auto; } .charts { display: flex; flex-wrap: wrap; gap: 1rem; } .charts svg { min-width: 0; } figcaption { color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; } caption { text-align: left; color: var(--soft); padding-bottom: 0.3rem; }
th, td { text-align: right; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid var(--rule); font-variant-numeric: tabular-nums; vertical-align: top; }
th:first-child, td.text, .facts td { text-align: left; } th { font-weight: 600; } tbody th { font-weight: normal; }
.range { color: var(--soft); font-size: 0.85em; white-space: nowrap; } .mark { color: var(--mark); text-decoration: none; cursor: help; }
code { font-size: 0.85em; overflow-wrap: anywhere; } details { margin: 0.5rem 0; } details li { margin: 0.3rem 0; }
`;

/** The page. */
export async function renderStudy({ plan, summaries, drawings, facts }: StudyPage): Promise<string> {
  const figures = [...drawings, ...await resultFigures(summaries)];
  const sections = await Promise.all(summaries.map((summary) => experimentSection(summary)));
  return htmlPage({
    title: `Mneme: the study ${plan.name}`,
    heading: "Titans and other sequence models, side by side",
    style: STYLE,
  }, [
    "<p>Every figure is the mean over seeds, with the smallest and the greatest in brackets; models of a table have the",
    "same data, the same steps and the same number of parameters, and of several learning rates each has the one that",
    "was best on validation. The models are small: what holds here may not hold at the sizes of the paper.</p>",
    `<nav aria-label="Contents"><ul>${contents(summaries, figures)}</ul></nav>`,
    ...factsTable("The run", facts),
    ...figures.map(drawingSection),
    ...sections,
  ]);
}

function contents(summaries: readonly ExperimentSummary[], drawings: readonly Drawing[]): string {
  const item = (id: string, title: string): string => `<li><a href="#${id}">${escapeHtml(title)}</a></li>`;
  return [
    ...drawings.map(({ number, title }) => item(`figure-${number}`, title)),
    ...summaries.map(({ experiment }) => item(experiment.name, experiment.title)),
  ].join("");
}

function drawingSection({ number, title, text, svg }: Drawing): string {
  return `<section id="figure-${number}"><h2>Figure ${number}. ${escapeHtml(title)}</h2><figure>${svg}<figcaption>${
    escapeHtml(text)
  }</figcaption></figure></section>`;
}

async function experimentSection(summary: ExperimentSummary): Promise<string> {
  const { experiment, models } = summary, shown = shownFigures(summary), series = seriesOf(shown);
  const inSeries = new Set(series.flatMap(({ points }) => points.map(({ name }) => name)));
  const single = shown.filter((name) => !inSeries.has(name));
  const compared = comparisonsOf(summary);
  const charts = isInFigure(experiment.name) ? [] : await Promise.all([
    ...single.slice(0, 3).map((name) => dotOf(name, models)),
    ...series.map((each) => seriesChart(each, models)),
  ]);
  return [
    `<section id="${experiment.name}"><h2>${escapeHtml(experiment.title)}</h2>`,
    ...(experiment.about === "" ? [] : [`<p>${escapeHtml(experiment.about)}</p>`]),
    ...charts.map((svg) => `<figure>${svg}</figure>`),
    figureTable(summary, { shown: tabledFigures(summary), compared }),
    ...compared.flatMap((each, i) => comparisonText(each, i === 0 ? experiment.why : "")),
    commandList(models),
    "</section>",
  ].join("\n");
}

function dotOf(name: string, models: readonly ModelSummary[]): Promise<string> {
  const values = models.flatMap(({ model, figures }) => figures[name] ? [{ model, ...figures[name] }] : []);
  return dotPlot(name, values, values.find(({ chance }) => chance !== undefined)?.chance);
}

function seriesChart({ figure, axes, points }: FigureSeries, models: readonly ModelSummary[]): Promise<string> {
  const found = models.flatMap(({ model, figures }) =>
    points.flatMap(({ name, at }) => figures[name] ? [{ model, at, ...figures[name] }] : [])
  );
  const [first, second] = axes;
  if (second !== undefined) {
    const values = found.map(({ model, at, mean }) => ({ model, x: at[first], y: at[second], value: mean }));
    return heatMap({ title: figure, x: first, y: second, values });
  }
  const values = found.map(({ at, ...value }) => ({ ...value, at: at[first] }));
  return lineChart({
    title: figure,
    axis: first,
    values,
    chance: found.find(({ chance }) => chance !== undefined)?.chance,
    isShare: /^(accuracy|exactMatch)\b/.test(figure),
  });
}

/** What models came to, and what is published of them. */
function figureTable(
  { experiment, models }: ExperimentSummary,
  { shown, compared }: { readonly shown: readonly string[]; readonly compared: readonly Comparison[] },
): string {
  const cell = (figure: Figure | undefined): string => {
    if (figure === undefined) return "<td></td>";
    const [mean, range] = shownFigure(figure).split(/ (?=\()/);
    return `<td>${mean}${range ? ` <span class="range">${range}</span>` : ""}</td>`;
  };
  const says = compared.map(({ published }) => `Paper says: ${published.what}`);
  const head = ["Model", "Parameters", "Learning rate", "Seeds", ...shown, ...says];
  const rows = models.map((model) => {
    const seeds = Math.max(0, ...Object.values(model.figures).map(({ count }) => count));
    return [
      `<tr><th scope="row">${escapeHtml(model.model)}</th>`,
      `<td>${model.parameters?.toLocaleString("en") ?? ""}</td>`,
      `<td>${model.rate === undefined ? "failed" : model.rate ?? "as given"}</td><td>${seeds}</td>`,
      ...shown.map((name) => cell(model.figures[name])),
      ...compared.map((each) => publishedCell(each, model.model)),
      "</tr>",
    ].join("");
  });
  return [
    `<div class="scroll"><table><caption>${escapeHtml(experiment.title)}, after ${experiment.steps} steps</caption>`,
    `<thead><tr>${head.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join("")}</tr></thead>`,
    `<tbody>${rows.join("\n")}</tbody></table></div>`,
  ].join("\n");
}

function commandList(models: readonly ModelSummary[]): string {
  const items = models.filter(({ commands }) => commands.length > 0).map(({ model, commands }) =>
    `<li>${escapeHtml(model)}<br>${commands.map((command) => `<code>${escapeHtml(command)}</code>`).join("<br>")}</li>`
  );
  const failed = models.flatMap(({ model, errors }) =>
    errors.map((error) => `<li>${escapeHtml(`${model} failed: ${error}`)}</li>`)
  );
  return [
    ...(failed.length > 0 ? [`<ul>${failed.join("")}</ul>`] : []),
    `<details><summary>Commands that make these figures again, with the first seed</summary><ul>${
      items.join("\n")
    }</ul></details>`,
  ].join("\n");
}
