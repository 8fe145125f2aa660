/**
 * The step of training and of validation as functions of tensors: losses, gradients, the update, and what is carried to
 * the next step.
 */
import { valueAndGrad } from "../../core/grad.ts";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { flatten, mapLeaves } from "../../core/tree.ts";
import {
  abs,
  add,
  cast,
  crossEntropy,
  div,
  expandDims,
  greater,
  lessEqual,
  logicalAnd,
  max,
  maximum,
  mean,
  mul,
  reshape,
  sliceAxis,
  sqrt,
  square,
  squeeze,
  stack,
  sub,
  sum,
  where,
  zerosLike,
} from "../../ops/mod.ts";
import {
  type ForwardOptions,
  memoryLayers,
  memoryStates,
  type Model,
  type ModelParameters,
  type ModelState,
} from "../models/model.ts";
import { type AdamState, adamW, clipByGlobalNorm, type OptimizerConfig } from "./optimizer.ts";
import type { MemoryTrace } from "../mixers/titans/trace.ts";

/** Larger losses and norms count as not finite. */
export const LARGEST = 1e30;

/** What {@link trainingStep} gives. */
export interface StepResult {
  /** Parameters and moments after the step. */
  readonly state: AdamState;
  /** 1 as long as all was finite. */
  readonly healthy: Tensor;
  /** Loss, norm of the gradient, healthy: [3]. */
  readonly report: Tensor;
  /** The state of each row after the step, [A, B, ...], where one was given. */
  readonly carried?: ModelState;
}

/** What a step may take beside tokens; see `TrainingBatch`. */
export interface StepExtras {
  /** Which predictions count, and which tokens memories learn, [A, B, T] of ones and zeros. */
  readonly mask?: Tensor;
  /** The state of each row before the step, [A, B, ...]; goes with `fresh`. */
  readonly carried?: ModelState;
  /** Which rows begin a text instead, [A, B] of ones and zeros. */
  readonly fresh?: Tensor;
}

/** What {@link trainingStep} takes. */
export type StepArguments = [state: AdamState, healthy: Tensor, tokens: Tensor, scalars: Tensor, extras?: StepExtras];
/**
 * The training step as a function of tensors.
 * @param model The model.
 * @param optimizer The optimiser's options.
 * @returns From parameters and moments [P], `healthy` [], tokens i32 [A, B, T + 1], the scalars of `stepScalars` and
 * extras to all of them after the step.
 */
export function trainingStep(model: Model, optimizer: OptimizerConfig): (...args: StepArguments) => StepResult {
  return (state, healthy, tokens, scalars, extras = {}) => {
    const { loss, gradient, carried } = averageGradient(model, state.params, { tokens, ...extras });
    const { norm, clipped } = clipByGlobalNorm(gradient, optimizer.clipNorm);
    const next = adamW(state, clipped, { config: optimizer, scalars, decayEnd: model.layout.decayEnd });
    const finite = logicalAnd(lessEqual(abs(loss), LARGEST), lessEqual(norm, LARGEST));
    const ok = logicalAnd(greater(healthy, 0), finite);
    const keep = (after: Tensor, before: Tensor): Tensor => where(ok, after, before);
    const kept: AdamState = {
      params: keep(next.params, state.params),
      first: keep(next.first, state.first),
      second: keep(next.second, state.second),
    };
    const flag = cast(ok, "f32"), result = { state: kept, healthy: flag, report: stack([loss, norm, flag], 0) };
    return carried ? { ...result, carried: mapStates(keep, carried, extras.carried!) } : result;
  };
}

/** The windows of a step, with leading axes A and B, or of one of its batches, with the leading axis B. */
interface Windows extends StepExtras {
  readonly tokens: Tensor;
}

interface Gradient {
  readonly loss: Tensor;
  /** Flat. */
  readonly gradient: Tensor;
  readonly carried?: ModelState;
}

/** Mean loss and flat gradient of the windows of a step; one batch after the other if there are several. */
function averageGradient(model: Model, flat: Tensor, windows: Windows): Gradient {
  const params = model.unflatten(flat), A = windows.tokens.shape[0];
  // Of all predictions that count, wherever they are: batches with fewer of them weigh less.
  const share = windows.mask && div(1, maximum(sum(windows.mask), 1));
  const one = (batch: Windows): Gradient => {
    const loss = (p: ModelParameters<Tensor>): [Tensor, ModelState] => {
      const before = batch.carried && resumedState(model, p, batch.carried, batch.fresh!);
      const { losses, result } = tokenLosses(model, p, batch.tokens, { state: before, store: batch.mask });
      return [batch.mask ? mul(sum(mul(losses, batch.mask)), share!) : mean(mean(losses, { axes: 1 })), result.state];
    };
    const [[value, state], gradient] = valueAndGrad(loss)(params);
    return { loss: value, gradient: model.layout.flatten(gradient), ...(batch.carried ? { carried: state } : {}) };
  };
  if (A === 1) {
    const { carried, ...rest } = one(mapLeaves(windows, isTensor, (x) => squeeze(x, 0)));
    return carried ? { ...rest, carried: mapLeaves(carried, isTensor, (x) => expandDims(x, 0)) } : rest;
  }
  const zero = { loss: zerosLike(squeeze(sliceAxis(flat, 0, 0, 1), 0)), gradient: zerosLike(flat) };
  const [total, carried] = scan(
    (carry: typeof zero, batch: Windows): [typeof zero, ModelState | undefined] => {
      const { loss, gradient, carried } = one(batch);
      return [{ loss: add(carry.loss, loss), gradient: add(carry.gradient, gradient) }, carried];
    },
    zero,
    windows,
  );
  const scale = share ? 1 : 1 / A;
  return { loss: mul(total.loss, scale), gradient: mul(total.gradient, scale), ...(carried ? { carried } : {}) };
}

/**
 * The state before windows: that of the beginning for rows that begin a text ([B] of ones and zeros), the one carried
 * on, a constant, for the others.
 */
export function resumedState(
  model: Model,
  params: ModelParameters<Tensor>,
  carried: ModelState,
  fresh: Tensor,
): ModelState {
  const B = fresh.shape[0], begins = greater(fresh, 0.5);
  const choose = (start: Tensor, before: Tensor): Tensor =>
    where(reshape(begins, [B, ...before.shape.slice(1).map(() => 1)]), start, before);
  return mapStates(choose, model.initialState(params, B), carried);
}

/** A state from two of the same structure, tensor by tensor. */
function mapStates(fn: (lhs: Tensor, rhs: Tensor) => Tensor, lhs: ModelState, rhs: ModelState): ModelState {
  const others = flatten(rhs, isTensor).leaves;
  let next = 0;
  return mapLeaves(lhs, isTensor, (leaf) => fn(leaf, others[next++])) as ModelState;
}

/** The loss of each token, [B, T], and what the model gave. */
function tokenLosses(
  model: Model,
  params: ModelParameters<Tensor>,
  tokens: Tensor,
  options: ForwardOptions = {},
): { losses: Tensor; result: ReturnType<Model["forward"]> } {
  const T = tokens.shape[1] - 1;
  const result = model.forward(params, sliceAxis(tokens, 1, 0, T), options);
  return { losses: crossEntropy(result.logits, sliceAxis(tokens, 1, 1, T), { reduction: "none" }), result };
}

/** What {@link validationStep} gives. */
export interface ValidationResult {
  /** Of each window: the mean over its predictions, or, where a mask was given, the sum over those that count; [B]. */
  readonly losses: Tensor;
  /**
   * Norms of memory weights, surprise and change (root mean square over windows), inner loss and norm of the update
   * (means): [5].
   */
  readonly memory: Tensor;
  /** The state of each row after the windows, [B, ...], where one was given. */
  readonly carried?: ModelState;
}

/** What {@link validationStep} takes beside parameters and tokens where windows go on: all without the axis A. */
export type ValidationExtras = Required<StepExtras>;

/**
 * The validation step as a function of parameters, flat, tokens i32 [B, T + 1] and extras. What is padding counts
 * nowhere, nor does a row of padding alone.
 */
export function validationStep(
  model: Model,
): (params: Tensor, tokens: Tensor, extras?: ValidationExtras) => ValidationResult {
  return (flat, tokens, extras) => {
    const params = model.unflatten(flat), mask = extras?.mask;
    const state = extras && resumedState(model, params, extras.carried, extras.fresh);
    const { losses, result } = tokenLosses(model, params, tokens, { state, store: mask, trace: true });
    const trace = result.trace!;
    const over = (x: Tensor): Tensor =>
      mask ? div(sum(mul(x, expandDims(mask, 1))), mul(x.shape[1], maximum(sum(mask), 1))) : mean(x); // x is [B, H, T]
    const average = (of: (block: MemoryTrace) => Tensor): Tensor =>
      mul(trace.map((block) => over(of(block))).reduce((a, b) => add(a, b)), 1 / trace.length);
    const initial = memoryLayers(params).map((layer) => layer.initial);
    const states = memoryStates(result.state);
    const used = mask && max(mask, { axes: 1 }); // [B]
    const squares = (x: Tensor): Tensor =>
      used ? mul(square(x), reshape(used, [used.shape[0], ...x.shape.slice(1).map(() => 1)])) : square(x);
    const norm = (tensors: readonly Tensor[]): Tensor => {
      const total = tensors.map((x) => sum(squares(x))).reduce((total, part) => add(total, part));
      return sqrt(used ? div(total, maximum(sum(used), 1)) : mul(total, 1 / tokens.shape[0]));
    };
    const weights = states.flatMap((state) => state.weights), surprise = states.flatMap((state) => state.surprise);
    const change = states.flatMap((state, block) => state.weights.map((w, l) => sub(w, initial[block][l])));
    const told = [
      norm(weights),
      norm(surprise),
      norm(change),
      average(({ loss }) => loss),
      average(({ updateNorm }) => updateNorm),
    ];
    const memory = stack(told, 0);
    return extras
      ? { losses: sum(mul(losses, extras.mask), { axes: 1 }), memory, carried: result.state }
      : { losses: mean(losses, { axes: 1 }), memory };
  };
}
