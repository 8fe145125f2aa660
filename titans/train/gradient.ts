/**
 * The first half of a training step: from parameters and a batch to sums of losses and gradients, as a pure function,
 * and the state that the rows of the batch end with.
 */
import { valueAndGrad } from "../../core/grad.ts";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { flatten, mapLeaves } from "../../core/tree.ts";
import { add, div, expandDims, greater, mul, reshape, sliceAxis, squeeze, where, zerosLike } from "../../ops/mod.ts";
import type { ForwardOptions, ForwardResult, ModelState } from "../models/model.ts";
import type { Network } from "../models/network.ts";
import type { BatchTree, Objective, Weighted } from "./objective.ts";
import type { GradientSums } from "./update.ts";

/** The states that rows of a step begin with. */
export interface CarriedRows {
  /** What each row carries on, [A, B, ...]. */
  readonly state: ModelState;
  /** Ones for rows that start afresh instead, zeros for the others, [A, B]. */
  readonly fresh: Tensor;
}

/** What {@link gradient} takes beside parameters, or with the leading axis B alone what it takes of one batch. */
export interface StepBatch {
  /** The fields of the objective, [A, B, ...]. */
  readonly data: BatchTree;
  /** For sequences that continue from step to step. */
  readonly carried?: CarriedRows;
}

/** What {@link gradient} gives. */
export interface BatchGradient extends GradientSums {
  /** The state of each row after the step, [A, B, ...], where one was given. */
  readonly carried?: ModelState;
}

/**
 * The gradient as a function of tensors.
 * @returns From flat parameters [P] and a step's batches [A, B, ...], which go through the model one after the other, to
 * sums. With a scale [] the loss is multiplied by it before it is differentiated, and the gradient divided by it.
 */
export function gradient(
  model: Network,
  objective: Objective,
): (params: Tensor, batch: StepBatch, scale?: Tensor) => BatchGradient {
  const one = (flat: Tensor, batch: StepBatch, scale?: Tensor): BatchGradient => {
    const loss = (params: unknown): [scaled: Tensor, rest: [lossSum: Tensor, weight: Tensor, state: ModelState]] => {
      const { loss: { sum, weight }, result } = forwardLoss(model, objective, params, batch);
      return [scale ? mul(sum, scale) : sum, [sum, weight, result.state]];
    };
    const [[, [lossSum, weight, state]], tree] = valueAndGrad(loss)(model.unflatten(flat));
    const flatTree = model.layout.flatten(tree);
    const sums = { gradientSum: scale ? mul(flatTree, div(1, scale)) : flatTree, lossSum, weight };
    return batch.carried ? { ...sums, carried: state } : sums;
  };
  return (flat, batch, scale) => {
    const [first] = flatten(batch.data, isTensor).leaves;
    if (first.shape[0] === 1) {
      const { carried, ...sums } = one(flat, mapLeaves(batch, isTensor, (x) => squeeze(x, 0)) as StepBatch, scale);
      return carried ? { ...sums, carried: mapLeaves(carried, isTensor, (x) => expandDims(x, 0)) as ModelState } : sums;
    }
    const scalar = zerosLike(squeeze(sliceAxis(flat, 0, 0, 1), 0));
    const zero: GradientSums = { gradientSum: zerosLike(flat), lossSum: scalar, weight: scalar };
    const [total, carried] = scan(
      (before: GradientSums, batch: StepBatch): [GradientSums, ModelState | undefined] => {
        const { carried, ...sums } = one(flat, batch, scale);
        return [addSums(before, sums), carried];
      },
      zero,
      batch,
    );
    return carried ? { ...total, carried } : total;
  };
}

/** The sums of two batches together. */
export function addSums(lhs: GradientSums, rhs: GradientSums): GradientSums {
  return {
    gradientSum: add(lhs.gradientSum, rhs.gradientSum),
    lossSum: add(lhs.lossSum, rhs.lossSum),
    weight: add(lhs.weight, rhs.weight),
  };
}

/** The loss of one batch, [B, ...], and the output of the model. */
export function forwardLoss(
  model: Network,
  objective: Objective,
  params: unknown,
  { data, carried }: StepBatch,
  options: ForwardOptions = {},
): { readonly loss: Weighted; readonly result: ForwardResult } {
  const { tokens, update } = objective.input(data);
  const state = carried && resumedState(model, params, carried);
  const result = model.forward(params, tokens, { ...options, state, update });
  return { loss: objective.loss(result.logits, data), result };
}

/** The state before a batch: that of the beginning for rows that start afresh, a constant, what is carried for others. */
export function resumedState(
  model: Network,
  params: unknown,
  { state, fresh }: CarriedRows,
): ModelState {
  const B = fresh.shape[0], begins = greater(fresh, 0.5);
  const choose = (start: Tensor, before: Tensor): Tensor =>
    where(reshape(begins, [B, ...before.shape.slice(1).map(() => 1)]), start, before);
  return mapStates(choose, model.initialState(params, B), state);
}

/** A state from two of the same structure, tensor by tensor. */
export function mapStates(fn: (lhs: Tensor, rhs: Tensor) => Tensor, lhs: ModelState, rhs: ModelState): ModelState {
  const others = flatten(rhs, isTensor).leaves;
  let next = 0;
  return mapLeaves(lhs, isTensor, (leaf) => fn(leaf, others[next++])) as ModelState;
}
