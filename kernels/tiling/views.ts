/** The views with which tiles are cut out of tensors and put together again, and views of tiles. */
import { invariant } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { apply } from "../../core/graph.ts";
import {
  addIndex,
  constantIndex,
  divIndex,
  type Index,
  makeVar,
  modIndex,
  recombine,
  scaleIndex,
  type Var,
  varIndex,
  visitVars,
} from "../../core/index_expr.ts";
import type { Attrs, NdArray, ViewOp, ViewPiece } from "../../core/op.ts";
import { type Shape, sizeOfShape } from "../../core/shape.ts";
import type { Type } from "../../core/dtype.ts";

const NO_GRADIENT = { zero: false, reason: "it only exists once gradients are made" } as const;

type Lower<A> = ViewOp<A>["lower"];

/** The elements of a view, one by one, as its index map says. */
function moved<A>(lower: Lower<A>): ViewOp<A>["reference"] {
  return (inputs: readonly NdArray[], attrs: A, [{ shape }]: readonly Type[]) => {
    const shapes = inputs.map((input) => input.shape), out = new Float64Array(sizeOfShape(shape));
    const numberOf = (at: readonly Index[], of: Shape): number =>
      at.reduce((sum, { constant }, axis) => sum * of[axis] + constant, 0);
    for (let i = 0; i < out.length; i++) {
      let rest = i;
      const index = shape.toReversed().map((extent) => {
        const at = rest % extent;
        rest = Math.floor(rest / extent);
        return constantIndex(at);
      }).toReversed();
      const { pieces, fill } = lower(index, attrs, shapes);
      const piece = pieces.find(({ where }) => where.every(({ index, lo, hi }) => index.min >= lo && index.max < hi));
      out[i] = piece ? inputs[piece.input].data[numberOf(piece.index, shapes[piece.input])] : fill;
    }
    return [out];
  };
}

interface TilesAttrs extends Attrs {
  readonly axis: number;
  /** The first element of the first tile. */
  readonly first: number;
  readonly count: number;
  /** Elements of a tile along the axis. */
  readonly size: number;
}

const lowerTiles: Lower<TilesAttrs> = ([tile, ...index], { axis, first, size }) => ({
  pieces: [{
    input: 0,
    index: index.map((at, i) => (i === axis ? addIndex(addIndex(scaleIndex(tile, size), at), first) : at)),
    where: [],
  }],
  fill: 0,
});

const tilesOp: ViewOp<TilesAttrs> = {
  name: "tiles",
  kind: "view",
  infer: ([{ shape, dtype }], { axis, count, size }) => [{ shape: [count, ...shape.with(axis, size)], dtype }],
  reference: moved(lowerTiles),
  lower: lowerTiles,
  vjp: NO_GRADIENT,
};

interface UntiledAttrs extends Attrs {
  readonly axis: number;
}

const lowerUntiled: Lower<UntiledAttrs> = (index, { axis }, shapes) => {
  let first = 0;
  const pieces = shapes.map((shape, input): ViewPiece => {
    const [count] = shape, size = shape[axis + 1], at = addIndex(index[axis], -first), end = first + count * size;
    const where = shapes.length === 1 ? [] : [{ index: index[axis], lo: first, hi: end }];
    first = end;
    return { input, index: [divIndex(at, size), ...index.with(axis, modIndex(at, size))], where };
  });
  return { pieces, fill: 0 };
};

const untiledOp: ViewOp<UntiledAttrs> = {
  name: "untiled",
  kind: "view",
  infer: (inputs, { axis }) => {
    const [{ shape: [, ...shape], dtype }] = inputs;
    const extent = inputs.reduce((sum, input) => sum + input.shape[0] * input.shape[axis + 1], 0);
    return [{ shape: shape.with(axis, extent), dtype }];
  },
  reference: moved(lowerUntiled),
  lower: lowerUntiled,
  vjp: NO_GRADIENT,
};

/** Tiles of one size, one after another along an axis. */
export interface Cut {
  /** The first element of the first tile. */
  readonly first: number;
  readonly count: number;
  /** Elements of a tile along the axis. */
  readonly size: number;
}

/** Tiles of a tensor along an axis, stacked: `[count, ..., size, ...]`. */
export function tilesOf(tensor: Tensor, axis: number, cut: Cut): Tensor {
  return apply(tilesOp, [tensor], { axis, ...cut });
}

/** The tensor of which these are all the tiles along an axis, in order: each `[count, ..., size, ...]`. */
export function untiled(stacks: readonly Tensor[], axis: number): Tensor {
  return apply(untiledOp, stacks, { axis });
}

interface OfTileAttrs extends Attrs {
  /** The attributes of the view of whole tensors, and the shapes of its operands. */
  readonly whole: Attrs;
  readonly operands: readonly Shape[];
  /** Of the tile. */
  readonly shape: Shape;
}

const ofTile = new WeakMap<ViewOp<Attrs>, ViewOp<OfTileAttrs>>();

/**
 * The same view of tiles: along the axis of the tiles it leaves every element where it is ({@link operandAxis}), so that
 * its index map holds for places in a tile.
 */
function viewOfTile(op: ViewOp<Attrs>): ViewOp<OfTileAttrs> {
  let made = ofTile.get(op);
  if (!made) {
    const lower: Lower<OfTileAttrs> = (index, { whole, operands }) => op.lower(index, whole, operands);
    made = {
      name: op.name,
      kind: "view",
      infer: ([{ dtype }], { shape }) => [{ shape, dtype }],
      reference: moved(lower),
      lower,
      vjp: NO_GRADIENT,
    };
    ofTile.set(op, made);
  }
  return made;
}

/** Applies the view that makes `whole` to tiles of its operands. */
export function applyToTiles(whole: Tensor, tiles: readonly Tensor[], shape: Shape): Tensor {
  const { op, attrs, inputs } = whole.node;
  invariant(op.kind === "view", `${op.name} is not a view`);
  return apply(viewOfTile(op), tiles, { whole: attrs, operands: inputs.map((input) => input.shape), shape });
}

/**
 * The axis of each operand of a view that is an axis of its result, element for element; `"absent"` for operands that
 * are the same all along it. Undefined where the view does anything else along the axis.
 */
export function operandAxes(view: Tensor, axis: number): readonly (number | "absent")[] | undefined {
  const { op, attrs, inputs } = view.node;
  invariant(op.kind === "view", `${op.name} is not a view`);
  const variables = view.shape.map((extent, i) => makeVar(`v${i}`, extent)), own = variables[axis];
  const { pieces } = op.lower(variables.map(varIndex), attrs, inputs.map((input) => input.shape));
  const found: (number | "absent")[] = [];
  for (const { input, index, where } of pieces) {
    if (where.some((range) => reads(range.index, own))) return undefined;
    const at = index.map(recombine), readers = at.flatMap((each, i) => (reads(each, own) ? [i] : []));
    if (readers.length > 1 || (readers.length === 1 && at[readers[0]].key !== varIndex(own).key)) return undefined;
    const place = readers.length === 0 ? "absent" : readers[0];
    if (found[input] !== undefined && found[input] !== place) return undefined;
    found[input] = place;
  }
  // What is not read must come first all the same: that is a promise about the order of whole tensors.
  return inputs.every((_, input) => found[input] !== undefined) ? found : undefined;
}

function reads(index: Index, { id }: Var): boolean {
  let found = false;
  visitVars(index, (variable) => found ||= variable.id === id);
  return found;
}
