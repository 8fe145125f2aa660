/**
 * Forecasts by one linear map from a window to the rows after it, shared by all columns.
 *
 *     DLinear     y = trend W + (x - trend) V         trend: the moving average, the ends repeated
 *     NLinear     y = (x - last) W + last
 *     RLinear     y = restore(standardize(x) W)
 *
 * (Zeng et al., arXiv 2205.13504; Li et al., arXiv 2305.10721.)
 */
import type { Tensor } from "../../../core/graph.ts";
import { add, broadcastTo, concat, mul, sliceAxis, sub, swapAxes } from "../../../ops/mod.ts";
import type { Layer } from "../../nn/layer.ts";
import { linear, type LinearParameters } from "../../nn/linear.ts";
import { restore, standardize, windowMoments } from "../../nn/patches.ts";
import { anyLayer, type Forecaster, type ForecastShape } from "./forecaster.ts";

/** A linear map of the rows of each column: [B, L, C] to [B, H, C]. */
function overRows({ lookback, horizon }: ForecastShape): Layer<LinearParameters<Tensor>> {
  const map = linear(lookback, horizon);
  return { parameters: map.parameters, apply: (params, x) => swapAxes(map.apply(params, swapAxes(x, 1, 2)), 1, 2) };
}

/** The columns to forecast. */
function targetsOf(past: Tensor, { outputs }: ForecastShape): Tensor {
  return sliceAxis(past, 2, 0, outputs);
}

/** The moving average over `rows` rows, its ends the first and the last row repeated: [B, L, C]. */
export function movingAverage(x: Tensor, rows: number): Tensor {
  const [B, L, C] = x.shape, before = Math.floor((rows - 1) / 2);
  const repeated = (row: number, count: number): Tensor[] =>
    count === 0 ? [] : [broadcastTo(sliceAxis(x, 1, row, 1), [B, count, C])];
  const parts = [...repeated(0, before), x, ...repeated(L - 1, rows - 1 - before)];
  const padded = parts.length === 1 ? x : concat(parts, 1);
  const terms = Array.from({ length: rows }, (_, i) => sliceAxis(padded, 1, i, L));
  return mul(terms.reduce((sum, term) => add(sum, term)), 1 / rows);
}

/** DLinear. */
export const dlinear: Forecaster = {
  name: "dlinear",
  summary: "DLinear: a linear map of the trend and one of the rest",
  paper: "2205.13504",
  defaults: {},
  learningRate: 5e-3,
  readsCovariates: false,
  create({ average }, shape) {
    const trendMap = overRows(shape), restMap = overRows(shape);
    return anyLayer({
      parameters: { trend: trendMap.parameters, rest: restMap.parameters },
      apply: (
        params: { readonly trend: LinearParameters<Tensor>; readonly rest: LinearParameters<Tensor> },
        past: Tensor,
      ) => {
        const x = targetsOf(past, shape), trend = movingAverage(x, average);
        return add(trendMap.apply(params.trend, trend), restMap.apply(params.rest, sub(x, trend)));
      },
    });
  },
};

/** NLinear. */
export const nlinear: Forecaster = {
  name: "nlinear",
  summary: "NLinear: a linear map of differences to the last value",
  paper: "2205.13504",
  defaults: {},
  learningRate: 5e-3,
  readsCovariates: false,
  create(_, shape) {
    const map = overRows(shape);
    return anyLayer({
      parameters: map.parameters,
      apply: (params: LinearParameters<Tensor>, past: Tensor) => {
        const x = targetsOf(past, shape), last = sliceAxis(x, 1, shape.lookback - 1, 1);
        return add(map.apply(params, sub(x, last)), last);
      },
    });
  },
};

/** RLinear. */
export const rlinear: Forecaster = {
  name: "rlinear",
  summary: "RLinear: a linear map of standardised windows",
  paper: "2305.10721",
  defaults: {},
  learningRate: 5e-3,
  readsCovariates: false,
  create(_, shape) {
    const map = overRows(shape);
    return anyLayer({
      parameters: map.parameters,
      apply: (params: LinearParameters<Tensor>, past: Tensor) => {
        const x = targetsOf(past, shape), moments = windowMoments(x);
        return restore(map.apply(params, standardize(x, moments)), moments);
      },
    });
  },
};
