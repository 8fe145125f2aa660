/**
 * Forecasts from patches: windows are standardised and cut into patches, each a token; what a body makes of the tokens
 * is laid flat and mapped to the horizon.
 *
 *     [B, L, F] -> [B C, N, patch (1 + covariates)] -> linear -> body -> [B C, N D] -> linear -> [B, H, C]
 */
import type { Tensor } from "../../../core/graph.ts";
import { add, broadcastTo, concat, expandDims, reshape, sliceAxis, transpose } from "../../../ops/mod.ts";
import { ConfigError } from "../../errors.ts";
import type { Layer } from "../../nn/layer.ts";
import { linear, type LinearParameters } from "../../nn/linear.ts";
import { type Parameter, table } from "../../nn/parameters.ts";
import { patchCount, patchesOf, restore, standardize, windowMoments } from "../../nn/patches.ts";
import type { MapTree } from "../../../core/tree.ts";
import { anyLayer, type ForecasterOptions, type ForecastShape } from "./forecaster.ts";

/** Parameters around a body. */
interface PatchedParameters<Body> {
  /** [patch (1 + covariates), D] */
  readonly embedding: LinearParameters<Tensor>;
  /** [N, D], for bodies that know no order. */
  readonly position?: Tensor;
  /** What makes tokens of tokens. */
  readonly body: Body;
  /** [N D, H] */
  readonly head: LinearParameters<Tensor>;
}

/** What is within. */
export interface PatchedBody<Body> {
  /** Tokens [B, N, D] to tokens. */
  readonly body: Layer<Body>;
  /** Whether a learned vector for its place is added to each token, for bodies that know no order. */
  readonly positions?: boolean;
}

/** A forecaster of patches. @throws {ConfigError} if a patch is longer than a window. */
export function patched<Body>(
  options: ForecasterOptions,
  shape: ForecastShape,
  { body, positions = false }: PatchedBody<Body>,
): Layer<unknown, [past: Tensor]> {
  const { width: D, patch, channels, normalize } = options, { lookback: L, horizon: H, inputs, outputs: C } = shape;
  if (patch > L) {
    throw new ConfigError(`Cannot cut patches of ${patch} rows: a window has ${L}, the option lookback`, "patch");
  }
  const rows = channels === "mixed" ? 1 : C, perRow = C / rows, covariates = inputs - C, N = patchCount(L, options);
  const embedding = linear(patch * (perRow + covariates), D), head = linear(N * D, H * perRow);
  const parameters: MapTree<PatchedParameters<Body>, Tensor, Parameter> = {
    embedding: embedding.parameters,
    ...(positions ? { position: table([N, D], 0.02) } : {}),
    body: body.parameters,
    head: head.parameters,
  } as MapTree<PatchedParameters<Body>, Tensor, Parameter>;
  return anyLayer<PatchedParameters<Body>>({
    parameters,
    apply: (params, past) => {
      const [B] = past.shape, moments = windowMoments(past), x = normalize ? standardize(past, moments) : past;
      const patches = patchesOf(rowsOf(x, shape, rows), options);
      const embedded = embedding.apply(params.embedding, patches);
      const tokens = params.position ? add(embedded, params.position) : embedded; // [B rows, N, D]
      const flat = reshape(body.apply(params.body, tokens), [B * rows, N * D]);
      const forecast = reshape(head.apply(params.head, flat), [B, rows, H, perRow]);
      const columns = reshape(transpose(forecast, [0, 2, 1, 3]), [B, H, C]);
      if (!normalize) return columns;
      const { mean, deviation } = moments;
      return restore(columns, { mean: sliceAxis(mean, 2, 0, C), deviation: sliceAxis(deviation, 2, 0, C) });
    },
  });
}

/** Windows as rows that a body reads by themselves: [B, L, F] to [B rows, L, C / rows + covariates]. */
function rowsOf(x: Tensor, { lookback: L, inputs, outputs: C }: ForecastShape, rows: number): Tensor {
  if (rows === 1) return x;
  const [B] = x.shape, K = inputs - C;
  const own = expandDims(transpose(sliceAxis(x, 2, 0, C), [0, 2, 1]), 3); // [B, C, L, 1]
  if (K === 0) return reshape(own, [B * C, L, 1]);
  const shared = broadcastTo(expandDims(sliceAxis(x, 2, C, K), 1), [B, C, L, K]);
  return reshape(concat([own, shared], 3), [B * C, L, 1 + K]);
}
