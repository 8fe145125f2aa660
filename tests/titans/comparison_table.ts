/** What a comparison of models came to, in Markdown: tables as docs/models.md has them, and where Titans are not first. */
import { type ModelKind, paperOf } from "../../titans/mixers/recipes.ts";
import { type ConvolutionChoice, type RunResult, runsAtBestRates, SAME_TAPS } from "./comparison_runs.ts";

/** The runs of a model with one optimizer and convolution. */
export interface ComparisonRow {
  readonly model: ModelKind;
  readonly convolution: ConvolutionChoice;
  readonly optimizer: string;
  /** The learning rate that is best on validation with the first seed. */
  readonly rate: number;
  readonly tests: readonly number[];
  readonly run: RunResult;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The rows of the table, from best to worst. */
export function comparisonRows(runs: readonly RunResult[]): ComparisonRow[] {
  const rows = runsAtBestRates(runs).map((best): ComparisonRow => {
    const [run] = best;
    return { ...run, tests: best.map(({ test }) => test), run };
  });
  return rows.toSorted((a, b) => mean(a.tests) - mean(b.tests));
}

/** Tokens per second of training by model, measured alone on the machine. */
export type Speeds = ReadonlyMap<string, number>;

/** Speeds at the shortest length in the figures of `deno task bench --models`. */
export async function readSpeeds(path: string): Promise<Speeds> {
  const { points } = JSON.parse(await Deno.readTextFile(path)) as {
    readonly points: readonly { readonly model: string; readonly tokens: number; readonly tokensPerSecond?: number }[];
  };
  const trained = points.filter(({ tokensPerSecond }) => tokensPerSecond !== undefined);
  const shortest = Math.min(...trained.map(({ tokens }) => tokens));
  return new Map(trained.filter(({ tokens }) => tokens === shortest).map((p) => [p.model, p.tokensPerSecond!]));
}

const CONVOLUTIONS: Readonly<Record<ConvolutionChoice, string>> = {
  default: "the convolution of each model's own",
  same: `the same convolution of ${SAME_TAPS} tokens`,
  none: "no convolution",
};

/** A table of rows that differ in the model, or in the optimizer too. Speeds of runs beside others would mislead. */
function comparisonTable(rows: readonly ComparisonRow[], speeds: Speeds | undefined): string {
  const hasOptimizers = new Set(rows.map(({ optimizer }) => optimizer)).size > 1;
  const column = <T>(isThere: boolean, cell: T): T[] => isThere ? [cell] : [];
  const header = [
    "Model",
    ...column(hasOptimizers, "Optimizer"),
    "Learning rate",
    "Bits per byte, mean",
    "Seeds",
    "Parameters",
    ...column(speeds !== undefined, "Tokens/s"),
    "Training step, MB",
    "Decoding state, kB",
  ];
  const cells = rows.map(({ model, optimizer, rate, tests, run }) => [
    `\`${model}\``,
    ...column(hasOptimizers, optimizer),
    String(rate),
    mean(tests).toFixed(3),
    tests.length === 1
      ? "one"
      : `${tests.length}: ${Math.min(...tests).toFixed(3)} to ${Math.max(...tests).toFixed(3)}`,
    run.parameterCount.toLocaleString("en"),
    ...column(speeds !== undefined, Math.round(speeds?.get(model) ?? NaN).toLocaleString("en").replace("NaN", "")),
    (run.plannedBytes / 1e6).toFixed(1),
    (run.stateBytes / 1e3).toFixed(1),
  ]);
  return [header, header.map(() => "---"), ...cells].map((row) => `| ${row.join(" | ")} |\n`).join("");
}

const TITANS = "2501.00663";

/** For each Titans model, a sentence about those that are ahead of it, and which of them only by less than the seeds differ. */
function whereTitansAreBehind(rows: readonly ComparisonRow[]): string[] {
  return rows.flatMap((row, place) => {
    if (paperOf(row.model) !== TITANS || place === 0) return [];
    const ahead = rows.slice(0, place),
      close = ahead.filter(({ tests }) => Math.max(...tests) >= Math.min(...row.tests));
    const names = (of: readonly ComparisonRow[]): string => of.map(({ model }) => `\`${model}\``).join(", ");
    const seeds = close.length > 0 && row.tests.length > 1 ? ` The seeds overlap with those of ${names(close)}.` : "";
    const by = (mean(row.tests) - mean(ahead[0].tests)).toFixed(3);
    return [
      `\`${row.model}\` is number ${place + 1} of ${rows.length}, ${by} bits behind the first, after ${
        names(ahead)
      }.${seeds}`,
    ];
  });
}

/** A table for each convolution, and below it where the Titans are not first. */
export function comparisonReport(rows: readonly ComparisonRow[], speeds?: Speeds): string {
  const byConvolution = [...Map.groupBy(rows, ({ convolution }) => convolution)];
  return byConvolution.map(([convolution, own]) =>
    [`With ${CONVOLUTIONS[convolution]}:`, "", comparisonTable(own, speeds), ...whereTitansAreBehind(own), ""].join(
      "\n",
    )
  ).join("\n");
}
