/** Slice and pad, each the other's gradient. */
import { roundTo } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { apply, type Tensor } from "../core/graph.ts";
import { addIndex } from "../core/index_expr.ts";
import { fill, splatValue } from "../core/linear.ts";
import type { Attrs, ViewOp } from "../core/op.ts";
import { checkList, formatType, normalizeAxis, sameShape, sizeOfShape, stridesOf } from "../core/shape.ts";
import { checkPerAxis, pullback } from "./define.ts";
import { concatOp } from "./concat.ts";
import { readStrided, writeStrided } from "./strided.ts";

interface SliceAttrs extends Attrs {
  readonly starts: readonly number[];
  readonly sizes: readonly number[];
}

/** A box of elements. */
export const sliceOp: ViewOp<SliceAttrs> = {
  name: "slice",
  kind: "view",
  infer: ([x], { starts, sizes }) => {
    checkPerAxis("slice", x, "starts", starts);
    checkPerAxis("slice", x, "sizes", sizes);
    starts.forEach((start, axis) => {
      const size = sizes[axis];
      if (
        !Number.isInteger(start) || !Number.isInteger(size) || start < 0 || size < 0 || start + size > x.shape[axis]
      ) {
        throw new ShapeError(
          `Cannot slice ${
            formatType(x)
          } along axis ${axis} from ${start}, size ${size}: the range must lie within 0 .. ${x.shape[axis]}`,
          [x.shape, sizes],
        );
      }
    });
    return [{ shape: sizes, dtype: x.dtype }];
  },
  reference: ([x], { starts, sizes }) => {
    const strides = stridesOf(x.shape);
    return [
      readStrided(x.data, sizes, strides, starts.reduce((offset, start, axis) => offset + start * strides[axis], 0)),
    ];
  },
  lower: (index, { starts }) => ({
    pieces: [{ input: 0, index: index.map((at, axis) => addIndex(at, starts[axis])), where: [] }],
    fill: 0,
  }),
  vjp: pullback((
    g,
    { inputs: [x], attrs: { starts, sizes } },
  ) => [pad(g, starts.map((start, axis) => [start, x.shape[axis] - start - sizes[axis]]))]),
  rewrite: ([x], { starts, sizes }) => {
    if (sameShape(x.shape, sizes)) return x;
    const value = splatValue(x);
    if (value !== undefined) return fill({ shape: sizes, dtype: x.dtype }, value);
    const [inner] = x.node.inputs;
    if (x.node.op === sliceOp) {
      return slice(
        inner,
        starts.map((start, axis) => start + (x.node.attrs as SliceAttrs).starts[axis]),
        sizes,
      );
    }
    if (x.node.op === padOp) return sliceOfPad(inner, x.node.attrs as PadAttrs, starts, sizes);
    return x.node.op === concatOp ? sliceOfConcat(x, starts, sizes) : undefined;
  },
};

/** Simplifies a slice of a padded tensor that is completely inside the tensor, or completely inside the padding. */
function sliceOfPad(
  inner: Tensor,
  { low, value }: PadAttrs,
  starts: readonly number[],
  sizes: readonly number[],
): Tensor | undefined {
  const moved = starts.map((start, axis) => start - low[axis]);
  if (moved.every((start, axis) => start >= 0 && start + sizes[axis] <= inner.shape[axis])) {
    return slice(inner, moved, sizes);
  }
  if (moved.some((start, axis) => start + sizes[axis] <= 0 || start >= inner.shape[axis])) {
    return fill({ shape: sizes, dtype: inner.dtype }, value);
  }
  return undefined;
}

/** Simplifies a slice of a concatenation that is completely inside one of its parts. */
function sliceOfConcat(x: Tensor, starts: readonly number[], sizes: readonly number[]): Tensor | undefined {
  const { axis } = x.node.attrs as { readonly axis: number };
  let offset = 0;
  for (const part of x.node.inputs) {
    const start = starts[axis] - offset;
    if (start >= 0 && start + sizes[axis] <= part.shape[axis]) {
      return slice(part, starts.map((from, at) => (at === axis ? start : from)), sizes);
    }
    offset += part.shape[axis];
  }
  return undefined;
}

interface PadAttrs extends Attrs {
  readonly low: readonly number[];
  readonly high: readonly number[];
  readonly value: number;
}

/** A box of elements surrounded by a constant. */
export const padOp: ViewOp<PadAttrs> = {
  name: "pad",
  kind: "view",
  infer: ([x], { low, high }) => {
    checkPerAxis("pad", x, "the padding", low);
    [...low, ...high].forEach((amount) => {
      if (!Number.isInteger(amount) || amount < 0) {
        throw new ShapeError(
          `Cannot pad ${formatType(x)} by ${amount}: amounts must be non-negative integers; use slice to cut`,
          [x.shape],
        );
      }
    });
    return [{ shape: x.shape.map((extent, axis) => low[axis] + extent + high[axis]), dtype: x.dtype }];
  },
  reference: ([x], { low, value }, [{ shape }]) => {
    const out = new Float64Array(sizeOfShape(shape)).fill(value), strides = stridesOf(shape);
    writeStrided(
      out,
      x.data,
      x.shape,
      strides,
      low.reduce((offset, amount, axis) => offset + amount * strides[axis], 0),
    );
    return [out];
  },
  lower: (index, { low, high, value }, [shape]) => {
    const moved = index.map((at, axis) => addIndex(at, -low[axis]));
    const where = moved.map((at, axis) => ({ index: at, lo: 0, hi: shape[axis] })).filter((_, axis) =>
      low[axis] + high[axis] > 0
    );
    return { pieces: [{ input: 0, index: moved, where }], fill: value };
  },
  vjp: pullback((g, { inputs: [x], attrs: { low } }) => [slice(g, low, x.shape)]),
  rewrite: ([x], { low, high, value }) => {
    if ([...low, ...high].every((amount) => amount === 0)) return x;
    const shape = x.shape.map((extent, axis) => low[axis] + extent + high[axis]);
    if (splatValue(x) === value || sizeOfShape(x.shape) === 0) return fill({ shape, dtype: x.dtype }, value);
    const inner = x.node.attrs as PadAttrs;
    if (x.node.op !== padOp || inner.value !== value) return undefined;
    return pad(
      x.node.inputs[0],
      low.map((amount, axis) => [amount + inner.low[axis], high[axis] + inner.high[axis]]),
      value,
    );
  },
};

/**
 * The box of `x` that starts at `starts` and has the shape `sizes`.
 * Gradient: padded with zeros.
 * @throws {ShapeError} if the box is not inside `x`.
 */
export function slice(x: Tensor, starts: readonly number[], sizes: readonly number[]): Tensor {
  checkPerAxis("slice", x, "starts", starts);
  checkList("slice by", sizes);
  const whole = starts.length === x.rank && starts.every((start) => start === 0) && sameShape(x.shape, sizes);
  return whole ? x : apply(sliceOp, [x], { starts: [...starts], sizes: [...sizes] });
}

/**
 * `size` elements from `start` along one axis. Gradient: padded with zeros. @throws {ShapeError} if they are not inside
 * `x`.
 */
export function sliceAxis(x: Tensor, axis: number, start: number, size: number): Tensor {
  const at = normalizeAxis(axis, x, "slice along");
  return slice(
    x,
    x.shape.map((_, i) => (i === at ? start : 0)),
    x.shape.map((extent, i) => (i === at ? size : extent)),
  );
}

/**
 * Consecutive pieces of the given sizes along one axis.
 * Gradient: padded with zeros.
 * @throws {ShapeError} if the sizes do not add up to the extent.
 */
export function split(x: Tensor, sizes: readonly number[], axis: number): Tensor[] {
  const at = normalizeAxis(axis, x, "split along");
  checkList("split by", sizes);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total !== x.shape[at]) {
    throw new ShapeError(
      `Cannot split ${formatType(x)} along axis ${at} into [${sizes.join(", ")}]: they must add up to ${
        x.shape[at]
      }, not ${total}`,
      [
        x.shape,
      ],
    );
  }
  let next = 0;
  return sizes.map((size) => sliceAxis(x, at, (next += size) - size, size));
}

/**
 * `x` surrounded by a constant: `padding` has `[low, high]` for each axis.
 * Gradient: sliced.
 * @throws {ShapeError} if an amount is negative or the list does not fit the rank.
 */
export function pad(x: Tensor, padding: readonly (readonly number[])[], value = 0): Tensor {
  checkPerAxis("pad", x, "the padding", padding);
  for (const amounts of padding) checkList("pad by", amounts);
  if (typeof value !== "number") fill(x, value, "pad");
  if (padding.every(([low, high]) => low === 0 && high === 0)) return x;
  return apply(padOp, [x], {
    low: padding.map(([low]) => low),
    high: padding.map(([, high]) => high),
    value: roundTo(x.dtype, value),
  });
}
