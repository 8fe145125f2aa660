/**
 * The second half of a training step: from the sums of gradients to the next state, as a pure function. Between the
 * halves a collective may add up the sums of several machines.
 */
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
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
  logicalNot,
  logicalOr,
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
import { checkNames } from "../errors.ts";
import type { ParameterLayout } from "../nn/parameters.ts";
import type { Share } from "./collective.ts";
import { ITERATE, type OptimizerConfig, ruleOptions } from "./optimizer_config.ts";
import { optimizerOf } from "./optimizers/registry.ts";
import { canBackOff, nextScaling, scaleOf } from "./precision.ts";

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
  /** The scaling of the loss, f32 [3], with which the gradient was taken. Default: none. */
  readonly scaling?: Tensor;
}

/** What {@link update} gives. */
export interface Updated {
  /** After the step; as before where something was not finite. */
  readonly state: OptimizerState;
  /** 1 as long as all was finite. */
  readonly healthy: Tensor;
  /** The scaling after the step, where one was given. */
  readonly scaling?: Tensor;
  /** Mean loss, norm of the mean gradient, healthy: [3]. With scaling also whether the step was skipped, and its scale: [5]. */
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

/** Options of {@link applyGradient}. */
export interface ApplyOptions {
  /** How to update. */
  readonly config: OptimizerConfig;
  /** As `stepScalars` gives them. */
  readonly scalars: Tensor;
  /** Where each parameter lies in the vectors. */
  readonly layout: ParameterLayout;
  /** Which element of the layout the vectors begin with. Default: 0. */
  readonly first?: number;
}

const APPLY_OPTIONS = optionNames<ApplyOptions>({ config: true, scalars: true, layout: true, first: true });

/**
 * One step of an optimizer from a mean gradient [P], clipped.
 *
 *     p <- p - rate (direction + decay p)                       decay of matrices only
 */
export function applyGradient(
  state: OptimizerState,
  gradient: Tensor,
  options: ApplyOptions,
): OptimizerState {
  checkNames("applyGradient", options, APPLY_OPTIONS);
  const { config, scalars, layout, first = 0 } = options;
  const { weightDecay, ema } = config, params = trainedPoint(config, state);
  const values = Array.from({ length: scalars.shape[0] }, (_, i) => squeeze(sliceAxis(scalars, 0, i, 1), 0));
  const rate = values[0], average = values[values.length - 1];
  const { direction, state: kept } = optimizerOf(config.optimizer).update(
    { params, gradient, state, scalars: values.slice(1), layout },
    ruleOptions(config),
  );
  const decay = where(less(iota(params.shape, 0), layout.decayEnd - first), mul(params, weightDecay), 0);
  const next = sub(params, mul(rate, add(direction, decay)));
  if (ema === 0) return { params: next, ...kept };
  return { params: add(next, mul(sub(state.params, next), average)), ...kept, [ITERATE]: next };
}

/**
 * The update as a function of tensors.
 * @returns From a state and the sums of a gradient to the state after the step. A step that is not finite changes
 * nothing, nor does any later one; with scaling of the loss, a gradient that overflowed is skipped.
 * @param part The elements that are updated, where other ranks update the others: of the state, {@link isWhole whole}
 * vectors are given as [P], the others and all results have the elements of the part alone. Default: all.
 */
export function update(
  config: OptimizerConfig,
  layout: ParameterLayout,
  part?: Share,
): (state: OptimizerState, sums: GradientSums, options: UpdateOptions) => Updated {
  return (state, { gradientSum, lossSum, weight }, { healthy, scalars, scaling }) => {
    const share = div(1, where(greater(weight, 0), weight, 1)), loss = mul(lossSum, share);
    const { norm, clipped } = clipByGlobalNorm(mul(gradientSum, share), config.clipNorm);
    const before = part ? partOf(state, part) : state, own = part ? sliceOf(clipped, part) : clipped;
    const next = applyGradient(before, own, { config, scalars, layout, first: part?.first });
    const finiteLoss = lessEqual(abs(loss), LARGEST), finiteNorm = lessEqual(norm, LARGEST);
    const running = greater(healthy, 0), ok = logicalAnd(running, logicalAnd(finiteLoss, finiteNorm));
    const kept = Object.fromEntries(Object.entries(next).map(([slot, x]) => [slot, where(ok, x, before[slot])]));
    const updated = { state: kept as unknown as OptimizerState };
    if (!scaling) {
      const flag = cast(ok, "f32");
      return { ...updated, healthy: flag, report: stack([loss, norm, flag], 0) };
    }
    const skipped = canBackOff(scaling, finiteLoss, logicalNot(finiteNorm));
    const goesOn = logicalAnd(running, logicalOr(ok, skipped)), flag = cast(goesOn, "f32");
    return {
      ...updated,
      healthy: flag,
      scaling: where(goesOn, nextScaling(scaling, skipped), scaling),
      report: stack([loss, norm, flag, cast(skipped, "f32"), scaleOf(scaling)], 0),
    };
  };
}

/** Whether each rank has the whole of a vector of the state also where ranks share the others: gradients are taken at it. */
export function isWhole(slot: string): boolean {
  return slot === "params" || slot === ITERATE;
}

function sliceOf(vector: Tensor, { first, count }: Share): Tensor {
  return sliceAxis(vector, 0, first, count);
}

function partOf(state: OptimizerState, part: Share): OptimizerState {
  const vectors = Object.entries(state).map(([slot, x]) => [slot, isWhole(slot) ? sliceOf(x, part) : x]);
  return Object.fromEntries(vectors) as OptimizerState;
}
