/**
 * Evaluates a graph with bounds: each element's f64 value and how far a machine of a given precision may be from it, by
 * running error analysis.
 *
 * Each op takes its operands' radii to that of its result (interval arithmetic to first order and beyond, nothing
 * neglected) and adds its own rounding. A machine may fuse, reorder sums, keep or recompute intermediate values: all of
 * that stays within the radius. What it may not do is compute something else.
 */
import type { Graph, Node, Tensor } from "../../../core/graph.ts";
import type { GatherOp, NdArray } from "../../../core/op.ts";
import { isFloat } from "../../../core/dtype.ts";
import { isLoop, type ScanAttrs } from "../../../core/loop.ts";
import { sizeOfShape } from "../../../core/shape.ts";
import { argmaxRule, candidates, extremeRule, isClear, productRule, recurrenceRule, sumRule } from "./axis_rules.ts";
import { type Bounded, radiusOf, withRadius } from "./bounded.ts";
import { MAP_RULES } from "./map_rules.ts";
import type { Precision } from "./precision.ts";
import { comparisonSlack, reorderingError, sumTerms } from "./terms.ts";

/** The outputs of a graph with bounds. @throws {Error} for a primitive that has no rule. */
export function evaluateBounded(graph: Graph, inputs: readonly Bounded[], precision: Precision): Bounded[] {
  const values = new Map<Tensor, Bounded>();
  graph.inputs.forEach((tensor, i) => values.set(tensor, inputs[i]));
  for (const node of graph.nodes) {
    const args = node.inputs.map((input) => values.get(input)!);
    const results = isLoop(node)
      ? loop(node, args, precision)
      : node.op.kind === "alias"
      ? node.op.aliased(args)
      : [single(node, args, precision)];
    node.outputs.forEach((tensor, i) => values.has(tensor) || values.set(tensor, results[i]));
  }
  return graph.outputs.map((tensor) => values.get(tensor)!);
}

function single(node: Node, args: readonly Bounded[], precision: Precision): Bounded {
  const [{ shape, dtype }] = node.outputs;
  const [data] = node.op.reference(args, node.attrs, node.outputs);
  const value: NdArray = { shape, dtype, data };
  const radius = radiusFor(node, args, value, precision);
  const terms = precision.reassociates ? sumTerms(node, args, value) : undefined;
  if (!terms) return withRadius(value, radius, precision);
  const unit = precision.unit(dtype);
  const reordered = data.map((_, i) => Math.max(radius ? radius[i] : 0, reorderingError(terms, i, unit)));
  return { ...withRadius(value, reordered, precision), terms };
}

const COMPARISONS: ReadonlySet<string> = new Set(["equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual"]);

function radiusFor(node: Node, args: readonly Bounded[], out: NdArray, precision: Precision): Float64Array | undefined {
  const { op, attrs } = node;
  switch (op.kind) {
    case "source":
      return isFloat(out.dtype) ? out.data.map((value) => precision.constant(out.dtype, value)) : undefined;
    case "map": {
      if (node.inputs.length === 2 && node.inputs[0] === node.inputs[1] && out.dtype === "bool") return undefined;
      const rule = MAP_RULES[op.name];
      if (!rule) {
        throw new Error(`no error bound is known for ${op.name}: add a rule to tests/fuzz/bounds/map_rules.ts`);
      }
      const known = op.name === "equal" || op.name === "notEqual" ? extremeEquality(node, args) : undefined;
      if (known) return known;
      const slack = COMPARISONS.has(op.name) && isFloat(node.inputs[0].dtype)
        ? comparisonSlack(args, precision)
        : undefined;
      return slack
        ? out.data.map((_, i) => (Math.abs(args[0].data[i] - args[1].data[i]) <= slack(i) ? Infinity : 0))
        : rule(args, out, precision);
    }
    case "view":
      return moved(node, args, out, precision);
    case "reduce": {
      const { combine, axes } = op.lower(attrs);
      if (combine === "sum") return sumRule(args[0], axes, out, precision);
      return combine === "argmax"
        ? argmaxRule(args[0], axes[0], out)
        : extremeRule(args[0], axes, out, combine === "max" ? 1 : -1);
    }
    case "contract":
      return productRule(args[0], args[1], out, precision);
    case "recurrence":
      return recurrenceRule(args[0], args[1], op.lower(attrs), out, precision);
    case "gather":
      return gathered(node, args, out);
    case "scatter":
      return scattered(node, args, out, precision);
    case "loop":
    case "alias":
      throw new Error(`a node of kind ${op.kind} has rules of its own`);
  }
}

/** Radii move as elements do; what a padding is filled with is a constant. */
function moved(
  { op, attrs, outputs }: Node,
  args: readonly Bounded[],
  { dtype }: NdArray,
  precision: Precision,
): Float64Array | undefined {
  const fill = "value" in attrs && isFloat(dtype) ? precision.constant(dtype, attrs.value as number) : 0;
  if (fill === 0 && args.every(({ radius }) => !radius)) return undefined;
  return op.reference(asRadii(args), { ...attrs, ...("value" in attrs && { value: fill }) }, outputs)[0].slice();
}

function asRadii(args: readonly Bounded[]): NdArray[] {
  return args.map((arg) => ({ shape: arg.shape, dtype: "f32", data: radiusOf(arg) }));
}

/**
 * `x == max(x)`, as the gradient of a maximum asks it: which element is the greatest is known where one is clear of the
 * others, though it is never known to the last bit that it equals itself. Undefined where the node is no such
 * comparison.
 */
function extremeEquality({ inputs }: Node, args: readonly Bounded[]): Float64Array | undefined {
  for (const [i, j] of [[0, 1], [1, 0]]) {
    let tensor = inputs[j];
    while (
      tensor.node.op.kind === "view" && (tensor.node.op.name === "reshape" || tensor.node.op.name === "broadcastTo")
    ) tensor = tensor.node.inputs[0];
    const { node } = tensor;
    if (node.op.kind !== "reduce" || node.inputs[0] !== inputs[i]) continue;
    const { combine, axes } = node.op.lower(node.attrs), x = args[i];
    if ((combine !== "max" && combine !== "min") || !x.radius) continue;
    const { positions } = candidates(x, axes, combine === "max" ? 1 : -1), out = new Float64Array(x.data.length);
    for (const found of positions) {
      if (!isClear(found, x.data, x.radius)) {
        for (const at of found) out[at] = Infinity;
      }
    }
    return out;
  }
  return undefined;
}

function gathered(node: Node, [operand, indices]: readonly Bounded[], out: NdArray): Float64Array | undefined {
  if (!operand.radius && !indices.radius) return undefined;
  const [numbers] = asRadii([operand]);
  const [radius] = node.op.reference([numbers, indices], node.attrs, node.outputs);
  // What lies outside is exactly NaN.
  const clean = radius.map((r) => (r !== r ? 0 : r));
  return indices.radius ? spread(indices, operand, node, clean, out) : clean;
}

/** Undecided wherever the index is. */
function spread(
  { radius, shape }: Bounded,
  operand: Bounded,
  { op, attrs }: Node,
  clean: Float64Array,
  out: NdArray,
): Float64Array {
  const { axis, batch } = (op as GatherOp<typeof attrs>).lower(attrs),
    count = sizeOfShape(shape.slice(batch)),
    shared = sizeOfShape(operand.shape.slice(batch, axis)),
    inner = sizeOfShape(operand.shape.slice(axis + 1));
  const numberOf = (slice: number): number => Math.floor(slice / count / shared) * count + slice % count;
  return out.data.map((_, i) => (radius![numberOf(Math.floor(i / inner))] > 0 ? Infinity : clean[i]));
}

function scattered(node: Node, args: readonly Bounded[], out: NdArray, precision: Precision): Float64Array | undefined {
  const [operand, indices, updates] = args;
  if (indices.radius) return out.data.map(() => Infinity);
  const apply = (a: Float64Array, b: Float64Array): Float64Array =>
    node.op.reference(
      [{ ...operand, dtype: "f32", data: a }, indices, { ...updates, dtype: "f32", data: b }],
      node.attrs,
      [{
        shape: out.shape,
        dtype: "f32",
      }],
    )[0];
  const spread = apply(radiusOf(operand), radiusOf(updates));
  if (!isFloat(out.dtype)) {
    return operand.radius || updates.radius ? spread.map((r) => (r > 0 ? Infinity : 0)) : undefined;
  }
  const sizes = apply(operand.data.map(Math.abs), updates.data.map(Math.abs));
  const counts = apply(new Float64Array(operand.data.length), new Float64Array(updates.data.length).fill(1));
  const whole = apply(
    operand.data.map((x) => Number(!Number.isInteger(x))),
    updates.data.map((x) => Number(!Number.isInteger(x))),
  );
  return spread.map((r, i) => {
    if (counts[i] === 0) return r;
    if (!Number.isFinite(out.data[i])) return r === 0 ? 0 : Infinity;
    if (r === 0 && whole[i] === 0 && sizes[i] < 2 ** 24 && precision.unit(out.dtype) < 2 ** -20) return 0;
    return r + counts[i] * 1.01 * precision.unit(out.dtype) * (sizes[i] + r) +
      (sizes[i] < precision.tiny(out.dtype) * 2 ** 24 ? precision.tiny(out.dtype) : 0);
  });
}

/** A loop, step by step. */
function loop(node: Node, inputs: readonly Bounded[], precision: Precision): Bounded[] {
  const { body, length, carryCount, xsCount, reverse, history } = node.attrs as ScanAttrs;
  const data = node.outputs.map(({ shape }) => new Float64Array(sizeOfShape(shape))),
    radii = data.map((array) => new Float64Array(array.length));
  const yCount = body.outputs.length - carryCount;
  const store = (output: number, value: Bounded, at: number): void => {
    data[output].set(value.data, at * value.data.length);
    if (value.radius) radii[output].set(value.radius, at * value.data.length);
  };
  const xs = inputs.slice(carryCount, carryCount + xsCount), consts = inputs.slice(carryCount + xsCount);
  let carry = inputs.slice(0, carryCount);
  for (let step = 0; step < length; step++) {
    const at = reverse ? length - 1 - step : step;
    const slices = xs.map((x, n): Bounded => {
      const { shape, dtype } = body.inputs[carryCount + n], size = sizeOfShape(shape);
      return {
        shape,
        dtype,
        data: x.data.subarray(at * size, (at + 1) * size),
        radius: x.radius?.subarray(at * size, (at + 1) * size),
      };
    });
    history.forEach((c, h) => store(carryCount + yCount + h, carry[c], at));
    const results = evaluateBounded(body, [...carry, ...slices, ...consts], precision);
    carry = results.slice(0, carryCount);
    results.slice(carryCount).forEach((y, n) => store(carryCount + n, y, at));
  }
  carry.forEach((value, c) => store(c, value, 0));
  return node.outputs.map(({ shape, dtype }, i) => withRadius({ shape, dtype, data: data[i] }, radii[i], precision));
}
