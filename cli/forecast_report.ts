/** What `forecast` writes: the rows to come as CSV, and a self-contained page with plots. */
import { csvField } from "./csv.ts";
import { factsTable, htmlPage } from "./html_page.ts";
import { later, shownStamp, shownStep } from "../titans/tasks/series/stamps.ts";
import type { SeriesWindows } from "../titans/tasks/series/windows.ts";
import type { Epoch, ForecastErrors } from "./forecast_fit.ts";
import { escapeHtml } from "../figures/escape_html.ts";
import { linePlot } from "./line_plot.ts";
import { PAGE_STYLE } from "./report.ts";

/** Forecasts in the units of the table, [horizon, columns to forecast]. */
export interface Forecasts {
  readonly windows: SeriesWindows;
  /** Of the rows after the table. */
  readonly next: Float64Array;
  /** Of the last rows of the table, from those before them. */
  readonly last: Float64Array;
}

/** What the page says beside. */
export interface ForecastFacts {
  readonly model: string;
  readonly epochs: readonly Epoch[];
  readonly best: Epoch;
  /** Of the model, which comes first, and of what needs no training. */
  readonly results: readonly ({ readonly name: string } & ForecastErrors)[];
}

/** The rows to come, with their times where the table has any. */
export function forecastCsv({ windows: { frame, horizon }, next }: Forecasts): string {
  const { names, targets, time, rows } = frame;
  const isDate = time !== undefined && time.spacing.unit !== "number" && time.at.every((at) => at % 86_400_000 === 0);
  const head = [time?.column ?? "row", ...names.slice(0, targets)].map(csvField).join(",");
  const lines = Array.from({ length: horizon }, (_, h) => {
    const at = time
      ? shownStamp(later(time.at[rows - 1], time.spacing, h + 1), time.spacing.unit, isDate)
      : String(rows + h + 1);
    return [at, ...Array.from(next.subarray(h * targets, (h + 1) * targets), (value) => Number(value.toPrecision(7)))];
  });
  return `${head}\n${lines.map((line) => line.join(",")).join("\n")}\n`;
}

// More plots are not looked at; the file has all columns.
const MOST_PLOTS = 24;

/** The page. */
export function forecastReport(forecasts: Forecasts, { model, epochs, best, results }: ForecastFacts): string {
  const { windows: { frame, lookback, horizon } } = forecasts, title = `Forecast of ${frame.name}`;
  const { name, mse } = results[0], better = results.slice(1).filter((floor) => floor.mse <= mse);
  const verdict = better.length === 0
    ? `On the test rows ${name} has a lower squared error than all forecasts that need no training.`
    : `On the test rows ${better.map(({ name }) => name).join(", ")} ${
      better.length === 1 ? "is" : "are"
    } at least as good as ${name}: take that, or train another model.`;
  const facts: (readonly [name: string, value: string])[] = [
    ["model", model],
    ["window", `${lookback} rows are read, ${horizon} forecast`],
    ...(frame.time ? [["rows are", `${shownStep(frame.time.spacing)} apart`] as const] : []),
    ["missing values", String(frame.missing)],
    ["best epoch", `${best.epoch} of ${epochs.length}, validation mse ${best.mse.toFixed(4)}`],
  ];
  return htmlPage({ title, style: PAGE_STYLE }, [
    `<p>${escapeHtml(verdict)}</p>`,
    ...factsTable("The run", facts),
    "<h2>Errors on the test rows</h2>",
    "<table><caption>Of standardised values, all windows</caption>",
    '<thead><tr><th scope="col">forecast</th><th scope="col">squared</th><th scope="col">absolute</th></tr></thead><tbody>',
    ...results.map(({ name, mse, mae }) =>
      `<tr><th scope="row">${escapeHtml(name)}</th><td>${mse.toFixed(4)}</td><td>${mae.toFixed(4)}</td></tr>`
    ),
    "</tbody></table>",
    ...frame.names.slice(0, Math.min(frame.targets, MOST_PLOTS)).flatMap((name, c) => columnPlots(forecasts, name, c)),
  ]);
}

/** A column: its last rows, what is forecast after them, and what was forecast of them. */
function columnPlots(
  { windows: { frame, lookback, horizon }, next, last }: Forecasts,
  name: string,
  c: number,
): string[] {
  const { rows, values, names: { length: width }, targets } = frame, shown = Math.min(rows, 2 * lookback + horizon);
  const points = (count: number, first: number, value: (i: number) => number) =>
    Array.from({ length: count }, (_, i) => ({ step: first + i, value: value(i) }));
  return [
    `<h2>${escapeHtml(name)}</h2>`,
    "<figure>",
    linePlot({
      id: `column${c}`,
      title: `${name}: the last rows and the forecast`,
      description: `The table ends at row 0; ${horizon} rows are forecast after it.`,
      xLabel: "rows after the end of the table",
      yLabel: name,
      lines: [
        { label: "table", points: points(shown, 1 - shown, (i) => values[(rows - shown + i) * width + c]) },
        { label: "forecast", points: points(horizon, 1, (h) => next[h * targets + c]) },
        { label: "forecast of the last rows", points: points(horizon, 1 - horizon, (h) => last[h * targets + c]) },
      ],
    }),
    "</figure>",
  ];
}
