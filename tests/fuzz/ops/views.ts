/** Views: ops that move elements; and sources, which have no operand. */
import { isFloat } from "../../../core/dtype.ts";
import { sizeOfShape } from "../../../core/shape.ts";
import { numberAttr } from "../text.ts";
import type { Value } from "../program.ts";
import type { Scope } from "../scope.ts";
import { type FuzzOp, fuzzOp, positional } from "./fuzz_op.ts";

/** Any value, with an axis. */
function withAxis(scope: Scope, test: (value: Value) => boolean = () => true): Value {
  const fits = (value: Value) => value.shape.length > 0 && test(value);
  const x = scope.choose(fits) ?? scope.float(fits);
  return fits(x) ? x : scope.anyInput({ shape: [scope.random.integer(2, 5)], dtype: x.dtype });
}

function axisOf(scope: Scope, { shape }: Value): number {
  return scope.random.integer(0, shape.length - 1);
}

/** An axis counted from the start or from the end. */
function eitherWay(scope: Scope, axis: number, rank: number): number {
  return scope.random.chance(0.3) ? axis - rank : axis;
}

/**
 * A random factorisation of a size into a shape: its primes in random order, in random groups, so that new axes cut
 * across the old ones.
 */
function refactor(scope: Scope, size: number): number[] {
  if (size === 0) return scope.random.of([[0], [0, 3], [2, 0], [1, 0, 2]]);
  const shape = Array.from({ length: scope.random.weighted([[2, 1], [4, 2], [4, 3], [2, 4], [1, 5]]) }, () => 1);
  for (const prime of primesOf(size)) shape[scope.random.integer(0, shape.length - 1)] *= prime;
  return shape;
}

function primesOf(size: number): number[] {
  const primes: number[] = [];
  let rest = size;
  for (let prime = 2; rest > 1; prime++) for (; rest % prime === 0; rest /= prime) primes.push(prime);
  return primes;
}

const reshape = fuzzOp("reshape", 5, (scope) => {
  const x = scope.choose(() => true) ?? scope.float();
  const shape = refactor(scope, sizeOfShape(x.shape));
  const open = scope.random.chance(0.2) && sizeOfShape(shape) > 0
    ? shape.map((extent, axis) => (axis === 0 ? -1 : extent))
    : shape;
  return scope.define("reshape", [x], { shape: open }, { shape, dtype: x.dtype }, scope.range(x));
}, positional("shape"));

const transpose = fuzzOp("transpose", 3, (scope) => {
  const x = withAxis(scope), axes = scope.random.permutation(x.shape.length);
  const isReverse = axes.every((axis, i) => axis === x.shape.length - 1 - i);
  return scope.define(
    "transpose",
    [x],
    isReverse && scope.random.chance(0.5) ? {} : { axes },
    { shape: axes.map((axis) => x.shape[axis]), dtype: x.dtype },
    scope.range(x),
  );
}, positional("axes"));

const swapAxes = fuzzOp("swapAxes", 0.7, (scope) => {
  const x = withAxis(scope), a = axisOf(scope, x), b = axisOf(scope, x), rank = x.shape.length;
  const shape = x.shape.map((extent, axis) => (axis === a ? x.shape[b] : axis === b ? x.shape[a] : extent));
  return scope.define("swapAxes", [x], { a: eitherWay(scope, a, rank), b: eitherWay(scope, b, rank) }, {
    shape,
    dtype: x.dtype,
  }, scope.range(x));
}, positional("a", "b"));

const flip = fuzzOp("flip", 1.5, (scope) => {
  const x = withAxis(scope), axes = scope.random.subset(x.shape.length);
  return scope.define(
    "flip",
    [x],
    { axes: axes.length === 1 && scope.random.chance(0.5) ? axes[0] : axes },
    x,
    scope.range(x),
  );
}, positional("axes"));

const expandDims = fuzzOp("expandDims", 1, (scope) => {
  const x = scope.choose(({ shape }) => shape.length < 5) ?? scope.float(({ shape }) => shape.length < 5);
  if (x.shape.length > 4) return undefined;
  const axis = scope.random.integer(0, x.shape.length);
  const attr = scope.random.chance(0.3) ? axis - x.shape.length - 1 : axis;
  return scope.define(
    "expandDims",
    [x],
    { axis: attr },
    { shape: x.shape.toSpliced(axis, 0, 1), dtype: x.dtype },
    scope.range(x),
  );
}, positional("axis"));

const squeeze = fuzzOp("squeeze", 1, (scope) => {
  const x = scope.choose(({ shape }) => shape.includes(1));
  if (!x) return undefined;
  const ones = x.shape.flatMap((extent, axis) => (extent === 1 ? [axis] : []));
  const chosen = scope.random.subset(ones.length).map((i) => ones[i]);
  const axis = chosen.length === 1 ? chosen[0] : chosen;
  return scope.define("squeeze", [x], { axis }, {
    shape: x.shape.filter((_, i) => !chosen.includes(i)),
    dtype: x.dtype,
  }, scope.range(x));
}, positional("axis"));

const broadcastTo = fuzzOp("broadcastTo", 2, (scope) => {
  const x = scope.choose(() => true) ?? scope.float();
  const lead = x.shape.length < 4 ? scope.random.integer(0, 2) : 0;
  const shape = [
    ...Array.from({ length: lead }, () => scope.extent(8)),
    ...x.shape.map((extent) => (extent === 1 ? scope.extent(16) : extent)),
  ];
  return scope.fits(shape)
    ? scope.define("broadcastTo", [x], { shape }, { shape, dtype: x.dtype }, scope.range(x))
    : undefined;
}, positional("shape"));

const slice = fuzzOp("slice", 2, (scope) => {
  const x = withAxis(scope);
  const sizes = x.shape.map((
    extent,
  ) => (scope.random.chance(0.4) ? extent : scope.random.integer(Math.min(1, extent), extent)));
  const starts = x.shape.map((extent, axis) => scope.random.integer(0, extent - sizes[axis]));
  return scope.define("slice", [x], { starts, sizes }, { shape: sizes, dtype: x.dtype }, scope.range(x));
}, positional("starts", "sizes"));

const sliceAxis = fuzzOp("sliceAxis", 1, (scope) => {
  const x = withAxis(scope), axis = axisOf(scope, x), size = scope.random.integer(0, x.shape[axis]);
  if (size === 0 && scope.random.chance(0.8)) return undefined;
  const start = scope.random.integer(0, x.shape[axis] - size);
  return scope.define(
    "sliceAxis",
    [x],
    { axis: eitherWay(scope, axis, x.shape.length), start, size },
    { shape: x.shape.with(axis, size), dtype: x.dtype },
    scope.range(x),
  );
}, positional("axis", "start", "size"));

const split = fuzzOp("split", 0.7, (scope) => {
  const x = withAxis(scope, ({ shape }) => Math.max(...shape) > 1), axis = axisOf(scope, x), extent = x.shape[axis];
  const first = scope.random.integer(0, extent), second = scope.random.integer(0, extent - first);
  const sizes = scope.random.chance(0.5) ? [first, extent - first] : [first, second, extent - first - second];
  const parts = scope.defineAll("split", [x], { sizes, axis }, {
    types: sizes.map((size) => ({ shape: x.shape.with(axis, size), dtype: x.dtype })),
    ranges: sizes.map(() => scope.range(x)),
  });
  return scope.random.of(parts);
}, positional("sizes", "axis"));

const pad = fuzzOp("pad", 1.5, (scope) => {
  const x = withAxis(scope);
  const padding = x.shape.map(
    () => (scope.random.chance(0.4) ? [0, 0] : [scope.random.integer(0, 3), scope.random.integer(0, 3)]),
  );
  const shape = x.shape.map((extent, axis) => extent + padding[axis][0] + padding[axis][1]);
  if (!scope.fits(shape)) return undefined;
  const value = scope.random.chance(0.5)
      ? 0
      : isFloat(x.dtype)
      ? scope.random.number(-1, 1)
      : scope.random.integer(0, 1),
    { low, high } = scope.range(x);
  return scope.define("pad", [x], { padding, ...(value !== 0 && { value: numberAttr(value) }) }, {
    shape,
    dtype: x.dtype,
  }, {
    low: Math.min(low, value),
    high: Math.max(high, value),
  });
}, positional("padding", "value"));

/** Tensors that can stand beside `x` along an axis. */
function beside(scope: Scope, x: Value, axis: number, sameExtent: boolean): Value[] {
  const fits = ({ shape, dtype }: Value) =>
    dtype === x.dtype && shape.length === x.shape.length &&
    shape.every((extent, i) => (i === axis && !sameExtent) || extent === x.shape[i]);
  return Array.from(
    { length: scope.random.integer(1, 2) },
    () =>
      (scope.random.chance(0.8) ? scope.choose(fits) : undefined) ??
        scope.anyInput({ shape: sameExtent ? x.shape : x.shape.with(axis, scope.extent(5)), dtype: x.dtype }),
  );
}

function hull(scope: Scope, values: readonly Value[]) {
  return {
    low: Math.min(...values.map((value) => scope.range(value).low)),
    high: Math.max(...values.map((value) => scope.range(value).high)),
  };
}

const listCall = positional("axis");
const JOINED: readonly FuzzOp[] = [
  fuzzOp("concat", 2, (scope) => {
    const x = withAxis(scope), axis = axisOf(scope, x), parts = [x, ...beside(scope, x, axis, false)];
    const shape = x.shape.with(axis, parts.reduce((sum, part) => sum + part.shape[axis], 0));
    return scope.fits(shape)
      ? scope.define(
        "concat",
        parts,
        { axis: eitherWay(scope, axis, shape.length) },
        { shape, dtype: x.dtype },
        hull(scope, parts),
      )
      : undefined;
  }, (step, text) => listCall(step, text).replace(/^concat\((.*), (-?\d+)\)$/, "concat([$1], $2)")),
  fuzzOp("stack", 1, (scope) => {
    const x = scope.choose(({ shape }) => shape.length < 5) ?? scope.float(({ shape }) => shape.length < 5);
    if (x.shape.length > 4) return undefined;
    const parts = [x, ...beside(scope, x, 0, true)],
      axis = scope.random.integer(0, x.shape.length),
      shape = x.shape.toSpliced(axis, 0, parts.length);
    return scope.fits(shape)
      ? scope.define("stack", parts, { axis }, { shape, dtype: x.dtype }, hull(scope, parts))
      : undefined;
  }, (step, text) => listCall(step, text).replace(/^stack\((.*), (-?\d+)\)$/, "stack([$1], $2)")),
];

const SOURCES: readonly FuzzOp[] = [
  fuzzOp("full", 0.5, (scope) => {
    const dtype = scope.random.of([scope.growth.float, "i32", "u32", "bool"] as const), shape = scope.shape();
    const value = dtype === "bool"
      ? scope.random.integer(0, 1)
      : isFloat(dtype)
      ? scope.random.number(-2, 2)
      : scope.random.integer(dtype === "i32" ? -3 : 0, 5);
    return scope.define("full", [], { shape, value: numberAttr(value), dtype }, { shape, dtype }, {
      low: value,
      high: value,
    });
  }, positional("shape", "value", "dtype")),
  ...(["zeros", "ones"] as const).map((name, value) =>
    fuzzOp(name, 0.2, (scope) => {
      const dtype = scope.random.of([scope.growth.float, "i32", "u32", "bool"] as const), shape = scope.shape();
      return scope.define(name, [], { shape, dtype }, { shape, dtype }, { low: value, high: value });
    }, positional("shape", "dtype"))
  ),
  ...(["zerosLike", "onesLike"] as const).map((name, value) =>
    fuzzOp(name, 0.2, (scope) => {
      const x = scope.choose(() => true) ?? scope.float();
      return scope.define(name, [x], {}, x, { low: value, high: value });
    })
  ),
  fuzzOp("iota", 0.7, (scope) => {
    const shape = scope.shape(scope.random.integer(1, 4)), axis = scope.random.integer(0, shape.length - 1);
    const dtype = scope.random.of(["i32", "u32", scope.growth.float] as const);
    return scope.define("iota", [], { shape, axis, dtype }, { shape, dtype }, {
      low: 0,
      high: Math.max(0, shape[axis] - 1),
    });
  }, positional("shape", "axis", "dtype")),
  fuzzOp("arange", 0.3, (scope) => {
    const n = scope.extent(), dtype = scope.random.of(["i32", "u32", scope.growth.float] as const);
    return scope.define("arange", [], { n, dtype }, { shape: [n], dtype }, { low: 0, high: n });
  }, positional("n", "dtype")),
  fuzzOp("constant", 0.5, (scope) => {
    const shape = scope.shape(scope.random.integer(0, 3)),
      dtype = scope.random.of([scope.growth.float, "i32", "bool"] as const);
    if (sizeOfShape(shape) > 24) return undefined;
    const element = () => (dtype === "bool"
      ? scope.random.integer(0, 1)
      : isFloat(dtype)
      ? scope.random.number(-2, 2)
      : scope.random.integer(-3, 5));
    const data = Array.from({ length: sizeOfShape(shape) }, element).map(numberAttr);
    return scope.define("constant", [], { data, shape, dtype }, { shape, dtype }, { low: -3, high: 5 });
  }, positional("data", "shape", "dtype")),
];

/** The table's views and sources. */
export const VIEWS: readonly FuzzOp[] = [
  reshape,
  transpose,
  swapAxes,
  flip,
  expandDims,
  squeeze,
  broadcastTo,
  slice,
  sliceAxis,
  split,
  pad,
  ...JOINED,
  ...SOURCES,
];
