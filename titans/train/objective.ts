/**
 * What a compiled training step needs to know of what is learned: the types of a batch, what of it the model reads, and
 * the loss. A task (titans/tasks) is an objective with data.
 */
import type { Tensor } from "../../core/graph.ts";
import type { Spec } from "../../core/trace.ts";
import type { MapTree } from "../../core/tree.ts";

/** A batch as tensors: a record, which may be nested, whose leaves have a leading axis of rows. */
export interface BatchTree {
  /** A tensor or more fields. */
  readonly [field: string]: Tensor | BatchTree;
}

/** An array of a batch on the host. */
export type BatchArray = Int32Array | Float32Array;

/** A batch on the host, row-major. */
export type BatchArrays<Batch = BatchTree> = MapTree<Batch, Tensor, BatchArray>;

/** A sum of values that count, and the sum of their weights: their mean is one over the other. */
export interface Weighted<Leaf = Tensor> {
  /** [] */
  readonly sum: Leaf;
  /** [] */
  readonly weight: Leaf;
}

/** What a model reads. */
export interface ModelInput {
  /** Token ids i32 [B, T], or real-valued tokens f32 [B, T, features]. */
  readonly tokens: Tensor;
  /** Which tokens the mixers learn from, [B, T] of ones and zeros. Default: all. */
  readonly update?: Tensor;
}

/** What is learned from a batch. */
export interface Objective<Batch extends BatchTree = BatchTree> {
  /** The types of the fields for one row of `length` tokens, without the axis of rows. */
  fields(length: number): MapTree<Batch, Tensor, Spec>;
  /** What of a batch of B rows the model reads. */
  input(batch: Batch): ModelInput;
  /**
   * The loss of a batch as a sum over what counts, so that batches of unequal weight, accumulation and several machines
   * agree.
   * @param output Of the model, [B, T, V or outputs].
   */
  loss(output: Tensor, batch: Batch): Weighted;
  /** What else the mean loss means, by name, such as `bitsPerByte`. */
  derived?(loss: number): Readonly<Record<string, number>>;
  /** Further figures of a validation by name, such as `accuracy`. */
  metrics?(output: Tensor, batch: Batch): Readonly<Record<string, Weighted>>;
}
