/** Classifies views by their index maps. */
import type { Node, Tensor } from "../../core/graph.ts";
import { type Index, makeVar, type Var, varIndex } from "../../core/index_expr.ts";
import type { ViewOp, ViewPiece } from "../../core/op.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { digitsOf, offsetOf } from "./digits.ts";
import { splitVariables, substituteStages } from "./index_tools.ts";

/** A piece of a concatenation: an input that occupies a range, from `offset`, along the axis. */
export interface ConcatPiece {
  readonly input: number;
  readonly offset: number;
}

/** Consecutive pieces along an axis. */
export interface Concatenation {
  readonly axis: number;
  readonly pieces: readonly ConcatPiece[];
}

/** How a view moves elements. */
export class ViewShape {
  readonly pieces: readonly ViewPiece[];
  readonly #vars: readonly Var[];
  #permutation?: { readonly isBijective: boolean; readonly isReshape: boolean };
  #concat?: { readonly found?: Concatenation };

  /** @param node A view. */
  constructor(readonly node: Node, op: ViewOp<typeof node.attrs>) {
    this.#vars = node.outputs[0].shape.map((extent, axis) => makeVar(`v${axis}`, extent));
    this.pieces = op.lower(this.#vars.map(varIndex), node.attrs, node.inputs.map((input) => input.shape)).pieces;
  }

  /** Whether each element of the input occurs exactly once, in any order. */
  get isBijective(): boolean {
    return (this.#permutation ??= permutation(this.node, this.#vars, this.pieces)).isBijective;
  }

  /** Whether row-major order and number of elements are preserved, as by a reshape. */
  get isReshape(): boolean {
    return (this.#permutation ??= permutation(this.node, this.#vars, this.pieces)).isReshape;
  }

  /** Present for concatenations. */
  get concat(): Concatenation | undefined {
    return (this.#concat ??= { found: concatenation(this.node, this.#vars, this.pieces) }).found;
  }
}

const known = new WeakMap<Node, ViewShape>();

/** Classifies a view by its index map; undefined for other nodes. */
export function viewShape(node: Node): ViewShape | undefined {
  if (node.op.kind !== "view") return undefined;
  let info = known.get(node);
  if (!info) known.set(node, info = new ViewShape(node, node.op));
  return info;
}

function permutation(
  node: Node,
  vars: readonly Var[],
  pieces: readonly ViewPiece[],
): { isBijective: boolean; isReshape: boolean } {
  const size = sizeOfShape(node.outputs[0].shape);
  const single = pieces.length === 1 && pieces[0].where.length === 0 ? node.inputs[pieces[0].input] : undefined;
  if (!single || size === 0 || sizeOfShape(single.shape) !== size) return { isBijective: false, isReshape: false };
  const at = offsetOf(pieces[0].index, single.shape);
  const own = offsetOf(vars.map(varIndex), node.outputs[0].shape);
  const isReshape = at.key === own.key;
  return { isBijective: isReshape || isPermutation(at, vars, size), isReshape };
}

function isPermutation(at: Index, vars: readonly Var[], size: number): boolean {
  // A reshape of a transpose divides variables; after splitting them the offset is a mixed-radix number.
  const digits = digitsOf(substituteStages(at, splitVariables(vars, [at]).stages));
  return digits !== undefined && digits.reduce((product, { variable }) => product * variable.extent, 1) === size;
}

function concatenation(node: Node, vars: readonly Var[], pieces: readonly ViewPiece[]): Concatenation | undefined {
  const { shape } = node.outputs[0];
  if (pieces.length < 2) return undefined;
  const axis = shape.findIndex((extent, at) => pieces.some(({ input }) => node.inputs[input].shape[at] !== extent));
  if (axis < 0) return undefined;
  const found: ConcatPiece[] = [];
  let next = 0;
  for (const { input, index } of pieces) {
    const from = node.inputs[input].shape;
    const isAligned = from.length === shape.length &&
      index.every((at, other) => other === axis || at.key === varIndex(vars[other]).key || from[other] <= 1);
    const at = index[axis], expected = varIndex(vars[axis]);
    const offset = -at.constant;
    const isShifted = at.terms.length === expected.terms.length &&
      at.terms.every((term, i) => term.key === expected.terms[i].key && term.coefficient === 1);
    if (
      !isAligned || !isShifted || offset !== next ||
      from.some((extent, other) => other !== axis && extent !== shape[other])
    ) return undefined;
    found.push({ input, offset });
    next += from[axis];
  }
  return next === shape[axis] ? { axis, pieces: found } : undefined;
}

/** Looks through views of one piece that keep every element, and returns the tensor that is actually read. */
export function stripViews(tensor: Tensor, stop: (tensor: Tensor) => boolean): Tensor {
  let current = tensor;
  while (!stop(current)) {
    const pieces = viewShape(current.node)?.pieces;
    if (pieces?.length !== 1) break;
    const from = current.node.inputs[pieces[0].input];
    if (sizeOfShape(from.shape) > sizeOfShape(current.shape)) break;
    current = from;
  }
  return current;
}
