/**
 * What an update rule is: a value with a name, a table of options, the names of the vectors it keeps, and a function
 * from a gradient to a direction. Learning rate, schedule, clipping, weight decay and averaging are the same for all
 * rules and live in `../optimizer_config.ts` and `../update.ts`.
 */
import type { Tensor } from "../../../core/graph.ts";
import type { ParameterLayout } from "../../nn/parameters.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";

/** What {@link Optimizer.update} takes beside its options: all vectors are f32 [P]. */
export interface UpdateContext<Slot extends string = string> {
  /** The parameters before the step. */
  readonly params: Tensor;
  /** The mean gradient, clipped. */
  readonly gradient: Tensor;
  /** What the rule keeps from step to step, zeros at first. */
  readonly state: Readonly<Record<Slot, Tensor>>;
  /** The step's scalars as {@link Optimizer.scalars} gave them. */
  readonly scalars: readonly Tensor[];
  /** Where each parameter lies in the vectors. */
  readonly layout: ParameterLayout;
}

/** What {@link Optimizer.update} gives. */
export interface UpdateResult<Slot extends string = string> {
  /** What is subtracted from the parameters, times the learning rate: f32 [P]. */
  readonly direction: Tensor;
  /** What the rule keeps. */
  readonly state: Readonly<Record<Slot, Tensor>>;
}

/** An update rule. */
export interface Optimizer<Table extends OptionTable = OptionTable, Slot extends string = string> {
  /** What configurations, flags and checkpoints call it. */
  readonly name: string;
  /** One line for help texts. */
  readonly summary: string;
  /** Its own options. */
  readonly options: Table;
  /** The learning rate where none is given. */
  readonly learningRate: number;
  /** The vectors [P] that it keeps; checkpoints store them as `optimizer.SLOT.PARAMETER`. */
  readonly state: readonly Slot[];
  /**
   * Whether each element is updated from its own values alone, so that ranks can keep a part of the vectors each.
   * Default: no.
   */
  readonly elementwise?: boolean;
  /** Numbers that change from step to step (counted from 0), computed in f64 on the host. Default: none. */
  scalars?(options: OptionsOf<Table>, step: number): readonly number[];
  /** One step. */
  update(context: UpdateContext<Slot>, options: OptionsOf<Table>): UpdateResult<Slot>;
}

/** An optimizer of any options and state, as registries and configurations hold it. */
export type AnyOptimizer = Optimizer;
