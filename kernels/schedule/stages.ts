/**
 * Splits long reductions to few elements, and long products, into two stages: partial results, then their combination.
 *
 * Reductions are split to use the whole device. Products are split for the accuracy of sums (kernels/long_sums.ts), and
 * because software drivers abort long loops: the parts form a batch axis, so both factors are read in place, masks
 * included. The partial results take less memory than the factors unless both sides of the result are longer than
 * {@link MAX_TERMS}.
 */
import { type DType, isFloat } from "../../core/dtype.ts";
import { invariant } from "../../core/errors.ts";
import { type Combine, identityOf } from "../../core/expr.ts";
import type { Node, Tensor } from "../../core/graph.ts";
import { addIndex, type Index, scaleIndex, splitIndex } from "../../core/index_expr.ts";
import { addOp } from "../../core/linear.ts";
import type { Attrs, MapOp, ReduceOp, ViewOp } from "../../core/op.ts";
import { type Shape, sizeOfShape } from "../../core/shape.ts";
import { MAX_TERMS } from "../long_sums.ts";
import type { NodeMaker, PlanNode } from "./normalize.ts";

/** Reductions to fewer elements than this, over rows longer than {@link LONG_ROW}, leave most of a device idle. */
const FEW_ROWS = 64;
const LONG_ROW = 4096;
/** Elements that one invocation sums in the first stage. */
const PART = 512;

/** The description of a reduction. */
export interface Reduction {
  readonly combine: Combine;
  readonly axes: readonly number[];
  readonly rowShape: readonly number[];
}

function neverEvaluated(): never {
  invariant(false, "a node of the scheduler was evaluated: it only exists in schedules");
}

const NO_GRADIENT = { zero: false, reason: "it only exists in schedules" } as const;

interface PartsAttrs extends Attrs {
  readonly axes: readonly number[];
  readonly parts: number;
  readonly part: number;
  readonly fill: number;
}

/**
 * Splits rows along `axes` into `parts` of `part` elements: `[...kept, parts, part]`. Beyond the end of a row, elements
 * are `fill`.
 */
const partsOp: ViewOp<PartsAttrs> = {
  name: "parts",
  kind: "view",
  infer: ([x], { axes, parts, part }) => [{ shape: [...keptOf(x.shape, axes), parts, part], dtype: x.dtype }],
  reference: neverEvaluated,
  lower: (index, { axes, part, fill }, [shape]) => {
    const rowShape = axes.map((axis) => shape[axis]);
    const rowSize = sizeOfShape(rowShape);
    const at = addIndex(scaleIndex(index[index.length - 2], part), index[index.length - 1]);
    const row = splitIndex(at, rowShape);
    let kept = 0;
    const into = shape.map((_, axis) => (axes.includes(axis) ? row[axes.indexOf(axis)] : index[kept++]));
    return {
      pieces: [{ input: 0, index: into, where: at.max < rowSize ? [] : [{ index: at, lo: 0, hi: rowSize }] }],
      fill,
    };
  },
  vjp: NO_GRADIENT,
};

interface CutAttrs extends Attrs {
  readonly axis: number;
  readonly first: number;
  readonly parts: number;
  readonly part: number;
}

/**
 * Splits an axis of a product's factor `[...batch, r, c]`, starting at element `first`, into `parts` of `part` elements
 * that form a batch axis: `[...batch, parts, r, c]`.
 */
const cutOp: ViewOp<CutAttrs> = {
  name: "cut",
  kind: "view",
  infer: (
    [{ shape, dtype }],
    { axis, parts, part },
  ) => [{ shape: [...shape.slice(0, -2), parts, ...shape.slice(-2)].with(axis + 1, part), dtype }],
  reference: neverEvaluated,
  lower: (index, { axis, first, part }) => {
    const number = index.length - 3;
    const at = (own: Index): Index => addIndex(addIndex(scaleIndex(index[number], part), own), first);
    return {
      pieces: [{
        input: 0,
        index: index.toSpliced(number, 1).map((own, i) => (i === axis ? at(own) : own)),
        where: [],
      }],
      fill: 0,
    };
  },
  vjp: NO_GRADIENT,
};

interface StageAttrs extends Attrs {
  readonly combine: Combine;
  readonly axes: readonly number[];
}

/** Emits one stage of a reduction. */
function stageOp(name: string): ReduceOp<StageAttrs> {
  return {
    name,
    kind: "reduce",
    infer: ([x], { axes }) => [{ shape: keptOf(x.shape, axes), dtype: x.dtype }],
    reference: neverEvaluated,
    lower: (attrs) => attrs,
    vjp: NO_GRADIENT,
  };
}

interface CastAttrs extends Attrs {
  readonly dtype: DType;
}

/** Converts sums in f32 to the product's dtype. */
const roundOp: MapOp<CastAttrs> = {
  name: "round",
  kind: "map",
  infer: ([{ shape }], { dtype }) => [{ shape, dtype }],
  reference: neverEvaluated,
  lower: (e, [x], { dtype }) => e.cast(x, dtype),
  vjp: NO_GRADIENT,
};

function keptOf(shape: Shape, axes: readonly number[]): number[] {
  return shape.filter((_, axis) => !axes.includes(axis));
}

/** Must be given nodes in topological order. */
export type Emit = (node: PlanNode) => PlanNode;

/** Emits a reduction in two stages; undefined if it is not long. */
export function emitReduction(
  node: Node,
  x: Tensor,
  { combine, axes, rowShape }: Reduction,
  maker: NodeMaker,
  emit: Emit,
): PlanNode | undefined {
  const { shape, dtype } = node.outputs[0];
  const space = sizeOfShape(shape), rowSize = sizeOfShape(rowShape);
  if (combine === "argmax" || space === 0 || space >= FEW_ROWS || rowSize <= LONG_ROW) return undefined;
  // At most LONG_ROW / 4 parts, so that the second stage is short. Parts that divide the row evenly need no mask.
  const wanted = Math.min(LONG_ROW / 4, Math.ceil(rowSize / PART));
  let parts = wanted;
  while (parts > wanted / 2 && rowSize % parts !== 0) parts--;
  if (rowSize % parts !== 0) parts = wanted;
  const part = Math.ceil(rowSize / parts);
  const fill = identityOf(combine, isFloat(dtype) ? "f32" : dtype);
  const cut = emit(
    maker.make(node, partsOp, [x], { axes, parts, part, fill }, [{ shape: [...shape, parts, part], dtype }]),
  );
  const partial = emit(
    maker.make(node, stageOp(`${node.op.name} parts`), cut.outputs, { combine, axes: [shape.length + 1] }, [{
      shape: [...shape, parts],
      dtype: isFloat(dtype) ? "f32" : dtype,
    }]),
  );
  return emit(
    maker.make(node, stageOp(node.op.name), partial.outputs, { combine, axes: [shape.length] }, [{ shape, dtype }]),
  );
}

/** Emits a product in two stages; undefined if it is not long. */
export function emitProduct(
  node: Node,
  [lhs, rhs]: readonly Tensor[],
  maker: NodeMaker,
  emit: Emit,
): PlanNode | undefined {
  const extent = lhs.shape.at(-1)!, { shape, dtype } = node.outputs[0];
  if (extent <= MAX_TERMS || sizeOfShape(shape) === 0) return undefined;
  const sumType = isFloat(dtype) ? "f32" : dtype, axis = shape.length - 2;
  /** The sums of the products of some parts. */
  const emitParts = (first: number, parts: number, part: number): PlanNode => {
    const [left, right] = [{ x: lhs, axis: axis + 1 }, { x: rhs, axis }].map(({ x, axis }) => {
      const attrs = { axis, first, parts, part };
      return emit(maker.make(node, cutOp, [x], attrs, cutOp.infer([x], attrs))).outputs[0];
    });
    const type = { shape: [...shape.slice(0, -2), parts, ...shape.slice(-2)], dtype: sumType };
    const products = emit(maker.make(node, node.op, [left, right], node.attrs, [type]));
    return emit(
      maker.make(node, stageOp("sum parts"), products.outputs, { combine: "sum", axes: [axis] }, [{
        shape,
        dtype: sumType,
      }]),
    );
  };
  const fewest = Math.ceil(extent / MAX_TERMS);
  // Prefers parts that divide the sum evenly; otherwise a short remainder becomes a separate product.
  const parts = Array.from({ length: fewest + 1 }, (_, more) => fewest + more).find((parts) => extent % parts === 0) ??
    fewest;
  const part = Math.floor(extent / parts), rest = extent - parts * part;
  let sum = emitParts(0, parts, part);
  if (rest > 0) {
    sum = emit(
      maker.make(node, addOp, [sum.outputs[0], emitParts(parts * part, 1, rest).outputs[0]], {}, [{
        shape,
        dtype: sumType,
      }]),
    );
  }
  return dtype === sumType ? sum : emit(maker.make(node, roundOp, sum.outputs, { dtype }, [{ shape, dtype }]));
}
