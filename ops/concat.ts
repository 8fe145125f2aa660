/** Joining tensors along an axis. */
import { ShapeError } from "../core/errors.ts";
import type { Type } from "../core/dtype.ts";
import { apply, type Tensor } from "../core/graph.ts";
import { addIndex } from "../core/index_expr.ts";
import { fill, splatValue } from "../core/linear.ts";
import type { Attrs, ViewOp } from "../core/op.ts";
import { checkList, formatType, normalizeAxis, type Shape, sizeOfShape, stridesOf } from "../core/shape.ts";
import { checkSameDType, pullback } from "./define.ts";
import { sliceAxis } from "./slice.ts";
import { writeStrided } from "./strided.ts";
import { expandDims } from "./views.ts";

interface ConcatAttrs extends Attrs {
  readonly axis: number;
}

function joinedShape(parts: readonly Type[], axis: number): Shape {
  const total = parts.reduce((sum, part) => sum + part.shape[axis], 0);
  return parts[0].shape.map((extent, at) => (at === axis ? total : extent));
}

/** Concatenates tensors along an axis. */
export const concatOp: ViewOp<ConcatAttrs> = {
  name: "concat",
  kind: "view",
  infer: (parts, { axis }) => {
    const [first] = parts;
    for (const part of parts) {
      checkSameDType("concat", first, part);
      const wrong = part.shape.findIndex((extent, at) => at !== axis && extent !== first.shape[at]);
      if (part.shape.length !== first.shape.length || wrong >= 0) {
        const rule = wrong >= 0 && part.shape.length === first.shape.length
          ? `extents besides axis ${axis} must be equal, axis ${wrong} is ${first.shape[wrong]} and ${
            part.shape[wrong]
          }`
          : `ranks must be equal, they are ${first.shape.length} and ${part.shape.length}`;
        throw new ShapeError(`Cannot concat ${formatType(first)} and ${formatType(part)} along axis ${axis}: ${rule}`, [
          first.shape,
          part.shape,
        ]);
      }
    }
    return [{ shape: joinedShape(parts, axis), dtype: first.dtype }];
  },
  reference: (parts, { axis }, [{ shape }]) => {
    const out = new Float64Array(sizeOfShape(shape)), strides = stridesOf(shape);
    let offset = 0;
    for (const part of parts) {
      writeStrided(out, part.data, part.shape, strides, offset * strides[axis]);
      offset += part.shape[axis];
    }
    return [out];
  },
  lower: (index, { axis }, shapes) => {
    let offset = 0;
    const pieces = shapes.map((shape, input) => {
      const at = addIndex(index[axis], -offset);
      offset += shape[axis];
      return {
        input,
        index: index.map((other, i) => (i === axis ? at : other)),
        where: [{ index: at, lo: 0, hi: shape[axis] }],
      };
    });
    return { pieces, fill: 0 };
  },
  vjp: pullback((g, { inputs, attrs: { axis }, needs }) => {
    let next = 0;
    return inputs.map((part, i) => {
      const start = next;
      next += part.shape[axis];
      return needs[i] ? sliceAxis(g, axis, start, part.shape[axis]) : undefined;
    });
  }),
  rewrite: (parts, { axis }) => {
    const filled = parts.filter((part) => part.shape[axis] > 0);
    if (filled.length < parts.length) return filled.length === 0 ? parts[0] : concat(filled, axis);
    if (parts.length === 1) return parts[0];
    const value = splatValue(parts[0]);
    const isFull = value !== undefined && parts.every((part) => splatValue(part) === value);
    return isFull ? fill({ shape: joinedShape(parts, axis), dtype: parts[0].dtype }, value) : undefined;
  },
};

/** Concatenates tensors along `axis`.
 * Gradient: sliced.
 * @throws {ShapeError} if there is none, or they differ in rank or in another extent.
 * @throws {DTypeError} if dtypes differ.
 */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  checkList("concat", tensors);
  if (tensors.length === 0) throw new ShapeError("Cannot concat: at least one tensor is needed, 0 were given");
  const at = normalizeAxis(axis, tensors[0], "concat along");
  return tensors.length === 1 ? tensors[0] : apply(concatOp, tensors, { axis: at });
}

/** Stacks tensors of one shape along a new axis.
 * Gradient: sliced.
 * @throws {ShapeError} if there is none, or shapes differ.
 * @throws {DTypeError} if dtypes differ.
 */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  checkList("stack", tensors);
  return concat(tensors.map((tensor) => expandDims(tensor, axis)), axis);
}
