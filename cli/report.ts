/** The report of a run: a self-contained HTML page with its curves. */
import { factsTable, htmlPage } from "./html_page.ts";
import type { Point } from "./curve.ts";
import { escapeHtml } from "../figures/escape_html.ts";
import { linePlot, type PlotLine } from "./line_plot.ts";
import type { RunHistory } from "./run_history.ts";

/** The contents of a report. */
export interface Report {
  /** The run's name. */
  readonly title: string;
  /** One sentence about the state of the run. */
  readonly status: string;
  /** Facts about the run, as rows of a table. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly history: RunHistory;
  /** The text that the model generated at the end, if any. */
  readonly sample?: string;
  /** The run's configuration. */
  readonly config: unknown;
}

// Longer tables are not readable; the metrics file has every step.
const TABLE_ROWS = 24;

/** The style sheet of pages with plots. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --text: #1c1e21; --soft: #5a5f66; --page: #ffffff; --rule: #d9dce0; --a: #0b57b7; --b: #b3261e; --c: #5a5f66; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e7e9; --soft: #a6abb2; --page: #16181b; --rule: #3a3e44; --a: #7fb2ff; --b: #ff9a8f; --c: #a6abb2; } }
body { margin: 2rem auto; max-width: 48rem; padding: 0 1rem; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
svg { width: 100%; height: auto; } figure { margin: 0; }
.grid { stroke: var(--rule); } .axis { stroke: var(--soft); } .tick, .label { fill: var(--soft); font: 12px system-ui, sans-serif; }
.line { fill: none; stroke-width: 2; } .line0 { stroke: var(--a); } .line1 { stroke: var(--b); stroke-dasharray: 7 3; }
.line2 { stroke: var(--c); stroke-dasharray: 2 3; } .dot { fill: none; stroke-width: 3; stroke-dasharray: none; }
.legend { display: flex; flex-wrap: wrap; gap: 1.5rem; list-style: none; margin: 0; padding: 0; } .legend svg { width: 32px; height: 10px; }
table { border-collapse: collapse; } caption { text-align: left; color: var(--soft); padding-bottom: 0.3rem; }
th, td { text-align: right; padding: 0.15rem 1rem 0.15rem 0; border-bottom: 1px solid var(--rule); font-variant-numeric: tabular-nums; }
.facts th, .facts td { text-align: left; font-weight: normal; overflow-wrap: anywhere; } .facts th { color: var(--soft); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--rule); padding: 0.8rem; }
`;

/** The page. */
export function renderReport({ title, status, facts, history, sample, config }: Report): string {
  const { training, validation, gradientNorm, learningRate } = history;
  return htmlPage({ title, style: PAGE_STYLE }, [
    `<p>${escapeHtml(status)}</p>`,
    ...factsTable("The run", facts),
    "<h2>Loss</h2>",
    "<figure>",
    linePlot({
      id: "loss",
      title: lossTitle(history),
      description: describeLoss(history),
      xLabel: "step",
      yLabel: history.unit,
      lines: lossLines(history),
    }),
    "</figure>",
    `<details><summary>Show as a table</summary>`,
    table(lossTitle(history), [["training", training.points], [heldOutOf(history.unit), validation.points]]),
    "</details>",
    "<h2>Gradient norm and learning rate</h2>",
    figureOf("norm", "Gradient norm before clipping, over steps", "gradient norm", gradientNorm.points),
    figureOf("rate", "Learning rate over steps", "learning rate", learningRate.points),
    `<details><summary>Show as a table</summary>`,
    table("Gradient norm and learning rate over steps", [["gradient norm", gradientNorm.points], [
      "learning rate",
      learningRate.points,
    ]]),
    "</details>",
    ...(sample === undefined ? [] : ["<h2>Sample</h2>", `<pre>${escapeHtml(sample)}</pre>`]),
    "<h2>Configuration</h2>",
    `<details><summary>config.json</summary><pre>${escapeHtml(JSON.stringify(config, null, 2))}</pre></details>`,
  ]);
}

function figureOf(id: string, title: string, label: string, points: readonly Point[]): string {
  const first = points[0], last = points.at(-1);
  const description = first && last
    ? `From ${digits(first.value)} at step ${first.step} to ${digits(last.value)} at step ${last.step}.`
    : "There are no steps yet.";
  return `<figure>${
    linePlot({ id, title, description, xLabel: "step", yLabel: label, lines: [{ label, points }] })
  }</figure>`;
}

function lossTitle({ unit }: RunHistory): string {
  return `${unit[0].toUpperCase()}${unit.slice(1)} over steps`;
}

/** What is held out: the curves of tasks show the loss. */
function heldOutOf(unit: RunHistory["unit"]): string {
  return unit === "loss" ? "held-out samples" : "held-out text";
}

function lossLines({ unit, training, validation, bigramBitsPerByte }: RunHistory): PlotLine[] {
  const steps = [...training.points, ...validation.points].map(({ step }) => step);
  const ends = steps.length > 0 ? [steps.reduce((a, b) => Math.min(a, b)), steps.reduce((a, b) => Math.max(a, b))] : [];
  const level = bigramBitsPerByte === undefined ? [] : ends.map((step) => ({ step, value: bigramBitsPerByte }));
  return [
    { label: "training batches", points: training.points },
    { label: heldOutOf(unit), points: validation.points },
    { label: "bigram baseline on the held-out text", points: level },
  ];
}

function describeLoss({ unit, training, best, bigramBitsPerByte }: RunHistory): string {
  const first = training.points[0], last = training.points.at(-1);
  const sentences = [
    first && last
      ? `The training loss goes from ${digits(first.value)} ${unit} at step ${first.step} to ${
        digits(last.value)
      } at step ${last.step}.`
      : "",
    best
      ? `The best result on ${heldOutOf(unit)} is ${digits(best.bitsPerByte ?? best.loss)}, at step ${best.step}.`
      : "",
    bigramBitsPerByte === undefined ? "" : `The bigram baseline has ${digits(bigramBitsPerByte)}.`,
  ];
  return sentences.filter(Boolean).join(" ") || "There are no steps yet.";
}

/** A table of the columns at the steps at which any has a point, thinned out. */
function table(caption: string, columns: readonly (readonly [name: string, points: readonly Point[]])[]): string {
  // The columns with the fewest points determine the rows, so that as few of theirs as possible are dropped.
  const sparse =
    columns.map(([, points]) => points).filter((points) => points.length > 0).sort((a, b) => a.length - b.length)[0] ??
      [];
  const dense = columns.map(([, points]) => points).sort((a, b) => b.length - a.length)[0];
  const steps = [
    ...new Set([...thin(sparse, TABLE_ROWS), ...thin(dense, TABLE_ROWS - Math.min(TABLE_ROWS / 2, sparse.length))]),
  ].sort((a, b) => a - b);
  const maps = columns.map(([, points]) => new Map(points.map(({ step, value }) => [step, value])));
  const rows = steps.map((step) => {
    const cells = maps.map((map) => map.get(step)).map((value) =>
      `<td>${value === undefined ? "" : digits(value)}</td>`
    );
    return `<tr><th scope="row">${step}</th>${cells.join("")}</tr>`;
  });
  return [
    `<table><caption>${escapeHtml(caption)}</caption>`,
    `<thead><tr><th scope="col">step</th>${
      columns.map(([name]) => `<th scope="col">${escapeHtml(name)}</th>`).join("")
    }</tr></thead>`,
    `<tbody>${rows.join("\n")}</tbody></table>`,
  ].join("\n");
}

/** The steps of evenly spaced points, including the first and the last. */
function thin(points: readonly Point[], most: number): number[] {
  if (points.length <= most) return points.map(({ step }) => step);
  return Array.from({ length: most }, (_, i) => points[Math.round(i * (points.length - 1) / (most - 1))].step);
}

function digits(value: number): string {
  return Number(value.toPrecision(4)).toString();
}
