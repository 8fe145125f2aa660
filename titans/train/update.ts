/**
 * The second half of a training step: from the sums of gradients to the next state, as a pure function. Between the
 * halves a collective may add up the sums of several machines.
 */
import type { Tensor } from "../../core/graph.ts";
import {
  abs,
  add,
  cast,
  div,
  greater,
  iota,
  less,
  lessEqual,
  logicalAnd,
  maximum,
  mul,
  sliceAxis,
  sqrt,
  square,
  squeeze,
  stack,
  sub,
  sum,
  where,
} from "../../ops/mod.ts";
import type { ParameterLayout } from "../nn/parameters.ts";
import { ITERATE, type OptimizerConfig, ruleOptions } from "./optimizer_config.ts";
import { optimizerOf } from "./optimizers/registry.ts";

/** Larger losses and norms count as not finite. */
export const LARGEST = 1e30;

/** Parameters and optimizer state by slot: all f32 [P]. */
export interface OptimizerState<Leaf = Tensor> {
  /** The parameters; with `ema` their moving average. */
  readonly params: Leaf;
  /** What the optimizer keeps, such as `first` and `second` of AdamW. */
  readonly [slot: string]: Leaf;
}

/** Sums over all that counts in a batch. Those of several batches, or machines, add up. */
export interface GradientSums<Leaf = Tensor> {
  /** f32 [P] */
  readonly gradientSum: Leaf;
  /** [] */
  readonly lossSum: Leaf;
  /** How many predictions, or the like, the sums are over: []. */
  readonly weight: Leaf;
}

/** Options of {@link update}. */
export interface UpdateOptions {
  /** Above 0 as long as all was finite: []. */
  readonly healthy: Tensor;
  /** As `stepScalars` gives them. */
  readonly scalars: Tensor;
}

/** What {@link update} gives. */
export interface Updated {
  /** After the step; as before where something was not finite. */
  readonly state: OptimizerState;
  /** 1 as long as all was finite. */
  readonly healthy: Tensor;
  /** Mean loss, norm of the mean gradient, healthy: [3]. */
  readonly report: Tensor;
}

/** Where gradients are taken: with `ema` not at the average. */
export function trainedPoint<Leaf>(config: OptimizerConfig, state: OptimizerState<Leaf>): Leaf {
  return config.ema > 0 ? state[ITERATE] : state.params;
}

/** The global norm of a gradient, and the gradient scaled down so that its norm is at most `clipNorm`. */
export function clipByGlobalNorm(
  gradient: Tensor,
  clipNorm: number,
): { readonly norm: Tensor; readonly clipped: Tensor } {
  const norm = sqrt(sum(square(gradient)));
  return { norm, clipped: clipNorm > 0 ? mul(gradient, div(clipNorm, maximum(norm, clipNorm))) : gradient };
}

/**
 * One step of an optimizer from a mean gradient [P], clipped.
 *
 *     p <- p - rate (direction + decay p)                       decay of matrices only
 */
export function applyGradient(
  state: OptimizerState,
  gradient: Tensor,
  { config, scalars, layout }: {
    readonly config: OptimizerConfig;
    readonly scalars: Tensor;
    readonly layout: ParameterLayout;
  },
): OptimizerState {
  const { weightDecay, ema } = config, params = trainedPoint(config, state);
  const values = Array.from({ length: scalars.shape[0] }, (_, i) => squeeze(sliceAxis(scalars, 0, i, 1), 0));
  const rate = values[0], average = values[values.length - 1];
  const { direction, state: kept } = optimizerOf(config.optimizer).update(
    { params, gradient, state, scalars: values.slice(1), layout },
    ruleOptions(config),
  );
  const decay = where(less(iota(params.shape, 0), layout.decayEnd), mul(params, weightDecay), 0);
  const next = sub(params, mul(rate, add(direction, decay)));
  if (ema === 0) return { params: next, ...kept };
  return { params: add(next, mul(sub(state.params, next), average)), ...kept, [ITERATE]: next };
}

/**
 * The update as a function of tensors.
 * @returns From a state and the sums of a gradient to the state after the step. A step that is not finite changes
 * nothing, nor does any later one.
 */
export function update(
  config: OptimizerConfig,
  layout: ParameterLayout,
): (state: OptimizerState, sums: GradientSums, options: UpdateOptions) => Updated {
  return (state, { gradientSum, lossSum, weight }, { healthy, scalars }) => {
    const share = div(1, where(greater(weight, 0), weight, 1)), loss = mul(lossSum, share);
    const { norm, clipped } = clipByGlobalNorm(mul(gradientSum, share), config.clipNorm);
    const next = applyGradient(state, clipped, { config, scalars, layout });
    const finite = logicalAnd(lessEqual(abs(loss), LARGEST), lessEqual(norm, LARGEST));
    const ok = logicalAnd(greater(healthy, 0), finite), flag = cast(ok, "f32");
    const kept = Object.fromEntries(Object.entries(next).map(([slot, x]) => [slot, where(ok, x, state[slot])]));
    return { state: kept as unknown as OptimizerState, healthy: flag, report: stack([loss, norm, flag], 0) };
  };
}
