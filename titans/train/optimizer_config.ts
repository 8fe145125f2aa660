/** How a model is updated: one flat record of the optimizer's options, the schedule's, and those that all share. */
import { checkNames } from "../errors.ts";
import {
  checkValues,
  completeOptions,
  defaultsOf,
  type OptionsOf,
  type OptionTable,
  type OptionValue,
  withoutUndefined,
} from "../options/option_table.ts";
import type { AnyOptimizer } from "./optimizers/optimizer.ts";
import { optimizerOf } from "./optimizers/registry.ts";
import { SCHEDULE_OPTIONS, scheduleAt } from "./schedules.ts";

/** Options that all optimizers share. */
export const UPDATE_OPTIONS = {
  learningRate: {
    kind: "number",
    default: 3e-3,
    min: 0,
    aboveMin: true,
    flag: "lr",
    help: "learning rate after warm-up; the default is that of `adamW`",
  },
  ...SCHEDULE_OPTIONS,
  weightDecay: { kind: "number", default: 0.1, min: 0, help: "decoupled weight decay, of matrices only" },
  clipNorm: {
    kind: "number",
    default: 1,
    min: 0,
    help: "gradients of a larger norm are scaled down to it; 0 for no clipping",
  },
  ema: {
    kind: "number",
    default: 0,
    before: 0,
    min: 0,
    max: 1,
    belowMax: true,
    help: "decay of a moving average of the weights, which is then validated, saved and used; 0 for none",
  },
} as const satisfies OptionTable;

/** How a model is updated. {@link defineOptimizer} makes it. */
export interface OptimizerConfig extends OptionsOf<typeof UPDATE_OPTIONS> {
  /** The update rule: the name of a built-in one, or one of your own. */
  readonly optimizer: string | AnyOptimizer;
  /** Options of the rule itself, such as `beta1`. */
  readonly [option: string]: OptionValue | AnyOptimizer;
}

/** The table of everything that an optimizer takes, its rule's own options last. */
export function optimizerTable(optimizer: string | AnyOptimizer): OptionTable {
  return { ...UPDATE_OPTIONS, ...optimizerOf(optimizer).options };
}

/**
 * A complete configuration from some options.
 * @param options Whatever differs from the defaults. `optimizer` defaults to `adamW`, its learning rate to the
 * default of the optimizer.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function defineOptimizer(options: Partial<OptimizerConfig> = {}): OptimizerConfig {
  const { optimizer = "adamW", ...given } = options, rule = optimizerOf(optimizer), table = optimizerTable(rule);
  checkNames("the optimizer", options, ["optimizer", ...Object.keys(table)]);
  const values = { ...defaultsOf(table), learningRate: rule.learningRate, ...withoutUndefined(given) };
  checkValues(table, values);
  return { optimizer, ...values } as OptimizerConfig;
}

/** A stored configuration with the options that did not exist when it was written. */
export function completeOptimizer(stored: object): OptimizerConfig {
  return defineOptimizer({ ...completeOptions(UPDATE_OPTIONS, stored) } as Partial<OptimizerConfig>);
}

/** The name of a configuration's rule. */
export function optimizerName({ optimizer }: OptimizerConfig): string {
  return typeof optimizer === "string" ? optimizer : optimizer.name;
}

/** The options of a configuration's rule alone. */
export function ruleOptions(config: OptimizerConfig): OptionsOf<OptionTable> {
  const names = Object.keys(optimizerOf(config.optimizer).options);
  return Object.fromEntries(names.map((name) => [name, config[name]])) as OptionsOf<OptionTable>;
}

/** The vectors that a training state holds beside parameters: the rule's, and with `ema` the weights that are trained. */
export function stateSlots(config: OptimizerConfig): readonly string[] {
  return [...optimizerOf(config.optimizer).state, ...(config.ema > 0 ? [ITERATE] : [])];
}

/** The slot of the weights that are trained, where parameters are their moving average. */
export const ITERATE = "iterate";

/** The learning rate of a step, counted from 0. */
export function learningRateAt(config: OptimizerConfig, step: number): number {
  return config.learningRate * scheduleAt(config, step);
}

/**
 * What changes from step to step, computed in f64 on the host: the learning rate, the scalars of the rule, and with
 * `ema` the decay of the average, which rises to its value so that the first weights do not linger in it.
 * @param step Counted from 0.
 */
export function stepScalars(config: OptimizerConfig, step: number): Float32Array {
  const own = optimizerOf(config.optimizer).scalars?.(ruleOptions(config), step) ?? [];
  const average = config.ema > 0 ? [Math.min(config.ema, (1 + step) / (10 + step))] : [];
  return Float32Array.of(learningRateAt(config, step), ...own, ...average);
}
