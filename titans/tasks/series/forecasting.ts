/** The objective of forecasting: windows as batches, and errors of forecasts of standardised values. */
import type { Tensor } from "../../../core/graph.ts";
import { spec } from "../../../core/trace.ts";
import { abs, expandDims, mul, square, sub, sum } from "../../../ops/mod.ts";
import type { BatchArrays, Objective, Weighted } from "../../train/objective.ts";
import type { Split, TaskBatches } from "../task.ts";
import type { SeriesWindows } from "./windows.ts";

/** The fields of a batch of windows. */
export interface ForecastBatch extends Record<string, Tensor> {
  /** The rows that are read, f32 [B, L, F]: columns to forecast, then covariates. */
  readonly past: Tensor;
  /** The rows after them, f32 [B, H, F - covariates]. */
  readonly future: Tensor;
  /** Ones, and zeros for rows that only fill up a batch, [B]. */
  readonly counts: Tensor;
}

/** How windows become rows of a batch. */
export interface WindowLayout {
  /** Whether each row has all columns; otherwise rows take turns, and covariates go with each. */
  readonly mixed: boolean;
}

/** Columns of a row: which are read, and which of them are forecast. */
export function rowWidths(
  { frame: { names, targets } }: SeriesWindows,
  { mixed }: WindowLayout,
): { readonly read: number; readonly forecast: number } {
  const forecast = mixed ? targets : 1;
  return { forecast, read: forecast + names.length - targets };
}

/** The fields of windows. */
export function windowFields(
  windows: SeriesWindows,
  layout: WindowLayout,
): ReturnType<Objective<ForecastBatch>["fields"]> {
  const { lookback, horizon } = windows, { read, forecast } = rowWidths(windows, layout);
  return { past: spec([lookback, read]), future: spec([horizon, forecast]), counts: spec([]) };
}

/** The batches of a part: all its windows in order, of training in another order in each epoch. */
export function windowBatches(
  windows: SeriesWindows,
  layout: WindowLayout,
): (split: Split, rows: number, seed: number) => TaskBatches<ForecastBatch> {
  const { lookback: L, horizon: H, scaled, frame: { names: { length: C }, targets } } = windows;
  const { read, forecast } = rowWidths(windows, layout), channels = layout.mixed ? 1 : targets;
  return (split, rows, seed) => ({
    batch: (step, { first, count } = { first: 0, count: rows }): BatchArrays<ForecastBatch> => {
      const past = new Float32Array(count * L * read), future = new Float32Array(count * H * forecast);
      const counts = new Float32Array(count);
      windows.starts(split, seed, { first: step * rows + first, count, channels }).forEach((place, row) => {
        if (!place) return;
        counts[row] = 1;
        for (let t = 0; t < L + H; t++) {
          const from = (place.row + t) * C;
          const [to, at, width] = t < L
            ? [past, (row * L + t) * read, read]
            : [future, (row * H + t - L) * forecast, forecast];
          for (let f = 0; f < width; f++) {
            to[at + f] = scaled[from + (f < forecast ? place.channel + f : targets + f - forecast)];
          }
        }
      });
      return { past, future, counts };
    },
  });
}

/** Squared, or absolute, errors of forecasts [B, H, F]: their sum, and how many count. */
export function errorsOf(
  forecast: Tensor,
  { future, counts }: ForecastBatch,
  size: (error: Tensor) => Tensor = square,
): Weighted {
  const [, H, F] = future.shape, rows = expandDims(expandDims(counts, 1), 1);
  return { sum: sum(mul(size(sub(forecast, future)), rows)), weight: mul(sum(counts), H * F) };
}

/** The objective of networks that take windows [B, L, F] to forecasts [B, H, F - covariates]. */
export function forecasting(windows: SeriesWindows): Objective<ForecastBatch> {
  return {
    fields: () => windowFields(windows, { mixed: true }),
    input: ({ past }) => ({ tokens: past }),
    loss: (forecast, batch) => errorsOf(forecast, batch),
    metrics: (forecast, batch) => ({ mae: errorsOf(forecast, batch, abs) }),
  };
}
