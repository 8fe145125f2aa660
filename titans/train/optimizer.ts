/** AdamW on one flat vector, with clipping by the global norm and a cosine schedule. */
import type { Tensor } from "../../core/graph.ts";
import {
  add,
  div,
  iota,
  less,
  maximum,
  mul,
  sliceAxis,
  sqrt,
  square,
  squeeze,
  sub,
  sum,
  where,
} from "../../ops/mod.ts";
import { checkNames, ConfigError } from "../errors.ts";

/** Options of the optimiser. */
export interface OptimizerConfig {
  /** The rate after warm-up. */
  readonly learningRate: number;
  /** The rate at the last step, as a share of `learningRate`. */
  readonly finalRate: number;
  /** Steps over which the rate rises from zero. */
  readonly warmupSteps: number;
  /** Steps of the whole schedule; later ones go on at the final rate. */
  readonly totalSteps: number;
  /** How much of the first moment stays. */
  readonly beta1: number;
  /** How much of the second moment stays. */
  readonly beta2: number;
  /** Added to the root of the second moment. */
  readonly epsilon: number;
  /** Applies to matrices only. */
  readonly weightDecay: number;
  /** Gradients of a larger global norm are scaled down to it; 0 for no clipping. */
  readonly clipNorm: number;
}

const DEFAULTS: OptimizerConfig = {
  learningRate: 3e-3,
  finalRate: 0.1,
  warmupSteps: 50,
  totalSteps: 300,
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  weightDecay: 0.1,
  clipNorm: 1,
};

/**
 * A whole configuration from some options.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function defineOptimizer(options: Partial<OptimizerConfig> = {}): OptimizerConfig {
  checkNames("the optimizer", options, Object.keys(DEFAULTS));
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const config: OptimizerConfig = { ...DEFAULTS, ...given };
  const check = (field: keyof OptimizerConfig, holds: boolean, rule: string): void => {
    if (!holds) throw new ConfigError(`Cannot use ${field} ${config[field]}: it must be ${rule}`, field);
  };
  for (const [field, value] of Object.entries(config)) {
    // Records come from files too, where "0.1" is above 0 and no number.
    if (typeof value !== "number") {
      throw new ConfigError(`Cannot use ${field} ${JSON.stringify(value)}: it must be a number`, field);
    }
  }
  check("learningRate", config.learningRate > 0 && Number.isFinite(config.learningRate), "a positive number");
  check("finalRate", config.finalRate >= 0 && config.finalRate <= 1, "from 0 to 1");
  for (const field of ["warmupSteps", "totalSteps"] as const) {
    check(field, Number.isInteger(config[field]) && config[field] >= 0, "an integer of at least 0");
  }
  for (const field of ["beta1", "beta2"] as const) {
    check(field, config[field] >= 0 && config[field] < 1, "at least 0 and below 1");
  }
  check("epsilon", config.epsilon > 0 && Number.isFinite(config.epsilon), "a positive number");
  for (const field of ["weightDecay", "clipNorm"] as const) {
    check(field, config[field] >= 0 && Number.isFinite(config[field]), "a number of at least 0");
  }
  return config;
}

/**
 * The learning rate of a step, counted from 0: linear warm-up, then half a cosine from `learningRate` to
 * `finalRate learningRate`.
 */
export function learningRateAt(
  { learningRate, finalRate, warmupSteps, totalSteps }: OptimizerConfig,
  step: number,
): number {
  if (step < warmupSteps) return learningRate * (step + 1) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return learningRate * (finalRate + (1 - finalRate) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}

/** Extent of the vector that {@link stepScalars} gives. */
export const STEP_SCALARS = 3;

/**
 * What changes from step to step, computed in f64 on the host: the learning rate, and the factors `1 / (1 - beta^t)`
 * that correct the moments' bias.
 * @param step Counted from 0.
 */
export function stepScalars(config: OptimizerConfig, step: number): Float32Array {
  const { beta1, beta2 } = config;
  return Float32Array.of(learningRateAt(config, step), 1 / (1 - beta1 ** (step + 1)), 1 / (1 - beta2 ** (step + 1)));
}

/** Parameters and moments, all f32 [P]. */
export interface AdamState<Leaf = Tensor> {
  /** The parameters. */
  readonly params: Leaf;
  /** Running mean of gradients. */
  readonly first: Leaf;
  /** Running mean of their squares. */
  readonly second: Leaf;
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
 * One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101).
 *
 *     m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
 *     p <- p - rate (m' / (sqrt(v') + epsilon) + decay p)        m', v' corrected for their start at zero
 * @param state Parameters and moments [P].
 * @param gradient [P]
 * @param options `scalars` as {@link stepScalars} gives them; decay applies to the elements before `decayEnd`.
 */
export function adamW(
  { params, first, second }: AdamState,
  gradient: Tensor,
  { config, scalars, decayEnd }: {
    readonly config: OptimizerConfig;
    readonly scalars: Tensor;
    readonly decayEnd: number;
  },
): AdamState {
  const { beta1, beta2, epsilon, weightDecay } = config;
  const [rate, correction1, correction2] = [0, 1, 2].map((i) => squeeze(sliceAxis(scalars, 0, i, 1), 0));
  const m = add(mul(first, beta1), mul(gradient, 1 - beta1));
  const v = add(mul(second, beta2), mul(square(gradient), 1 - beta2));
  const direction = div(mul(m, correction1), add(sqrt(mul(v, correction2)), epsilon));
  const decay = where(less(iota(params.shape, 0), decayEnd), mul(params, weightDecay), 0);
  return { params: sub(params, mul(rate, add(direction, decay))), first: m, second: v };
}
