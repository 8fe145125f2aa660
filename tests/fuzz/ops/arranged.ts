/** Ops that arrange elements: sorting, taking, slices at run-time places, copies and turns, triangles. */
import { isFloat } from "../../../core/dtype.ts";
import { sizeOfShape } from "../../../core/shape.ts";
import { COUNTED_EXTENT } from "../../../ops/order.ts";
import type { FuzzAttrs, Value } from "../program.ts";
import type { Scope } from "../scope.ts";
import { literal, nameOf } from "../text.ts";
import { type FuzzOp, fuzzOp, positional } from "./fuzz_op.ts";

/**
 * A number with an axis. Short rows are sorted by counting; long ones, by a network, are few, since the bounds of a
 * loop are worked out step by step.
 */
function sortable(scope: Scope): Value | undefined {
  return scope.choose(({ shape, dtype }) => {
    const longest = Math.max(0, ...shape), isFew = sizeOfShape(shape) <= 2100;
    return dtype !== "bool" && shape.length > 0 && (longest <= 65 || (longest > COUNTED_EXTENT && isFew));
  });
}

function axisOf(scope: Scope, { shape }: Value): number {
  return scope.random.integer(0, shape.length - 1);
}

/** `{ axis }`, or nothing where it is the last. */
function axisOption(axis: number, { shape }: Value): FuzzAttrs {
  return axis === shape.length - 1 ? {} : { axis };
}

const SORTED: readonly FuzzOp[] = [
  ...(["sort", "argsort"] as const).map((name) =>
    fuzzOp(name, 0.6, (scope) => {
      const x = sortable(scope);
      if (!x) return undefined;
      const axis = axisOf(scope, x), dtype = name === "sort" ? x.dtype : "i32";
      const attrs = { ...axisOption(axis, x), ...(scope.random.chance(0.4) && { descending: true }) };
      const range = name === "sort" ? scope.range(x) : { low: 0, high: Math.max(0, x.shape[axis] - 1) };
      return scope.define(name, [x], attrs, { shape: x.shape, dtype }, range);
    })
  ),
  fuzzOp("topK", 0.6, (scope) => {
    const x = sortable(scope);
    if (!x) return undefined;
    const axis = axisOf(scope, x), k = scope.random.integer(Math.min(1, x.shape[axis]), x.shape[axis]);
    const shape = x.shape.with(axis, k);
    const out = scope.defineAll("topK", [x], { k, options: axisOption(axis, x) }, {
      types: [{ shape, dtype: x.dtype }, { shape, dtype: "i32" }],
      ranges: [scope.range(x), { low: 0, high: Math.max(0, x.shape[axis] - 1) }],
    });
    return scope.random.of(out);
  }, positional("k", "options")),
  fuzzOp("takeAlongAxis", 0.7, (scope) => {
    const fits = ({ shape }: Value) => shape.length > 0;
    const x = scope.choose(fits) ?? scope.float(fits);
    if (!fits(x)) return undefined;
    const axis = axisOf(scope, x);
    const shape = x.shape.with(axis, scope.random.integer(1, 8));
    const numbers = scope.indices(
      x.shape[axis],
      shape.map((extent, i) => (i !== axis && scope.random.chance(0.2) ? 1 : extent)),
    );
    return scope.define("takeAlongAxis", [x, numbers], axisOption(axis, x), { shape, dtype: x.dtype }, scope.range(x));
  }),
];

/** A start for each axis: a number, or an integer scalar, now and then outside. */
function startsFor(scope: Scope, x: Value): { readonly args: Value[]; readonly starts: readonly (number | string)[] } {
  const args: Value[] = [];
  const starts = x.shape.map((extent) => {
    if (scope.random.chance(0.3)) return scope.random.integer(-1, extent);
    args.push(scope.indices(extent, []));
    return "tensor";
  });
  return { args, starts };
}

/** The list of starts as text: numbers as they are, operands by name in order. */
function startsText(starts: readonly (number | string)[], args: readonly number[]): string {
  let next = 0;
  return `[${starts.map((start) => (start === "tensor" ? nameOf(args[next++]) : literal(start))).join(", ")}]`;
}

const DYNAMIC: readonly FuzzOp[] = [
  fuzzOp(
    "dynamicSlice",
    0.7,
    (scope) => {
      const x = scope.choose(() => true) ?? scope.float(), { args, starts } = startsFor(scope, x);
      const sizes = x.shape.map((extent) => scope.random.integer(Math.min(1, extent), extent));
      return scope.define(
        "dynamicSlice",
        [x, ...args],
        { starts, sizes },
        { shape: sizes, dtype: x.dtype },
        scope.range(x),
      );
    },
    ({ args, attrs }) =>
      `dynamicSlice(${nameOf(args[0])}, ${startsText(attrs.starts as readonly (number | string)[], args.slice(1))}, ${
        literal(attrs.sizes)
      })`,
  ),
  fuzzOp(
    "dynamicUpdateSlice",
    0.7,
    (scope) => {
      const x = scope.choose(({ dtype }) => isFloat(dtype)) ?? scope.float(), { args, starts } = startsFor(scope, x);
      const fits = (value: Value) =>
        value.dtype === x.dtype && value.shape.length === x.shape.length &&
        value.shape.every((extent, axis) => extent <= x.shape[axis]);
      const update = scope.choose((value) => value !== x && fits(value)) ??
        scope.anyInput({ shape: x.shape.map((extent) => Math.ceil(extent / 2)), dtype: x.dtype });
      const [a, b] = [scope.range(x), scope.range(update)];
      return scope.define("dynamicUpdateSlice", [x, update, ...args], { starts }, x, {
        low: Math.min(a.low, b.low),
        high: Math.max(a.high, b.high),
      });
    },
    ({ args, attrs }) =>
      `dynamicUpdateSlice(${nameOf(args[0])}, ${nameOf(args[1])}, ${
        startsText(attrs.starts as readonly (number | string)[], args.slice(2))
      })`,
  ),
];

const COPIES: readonly FuzzOp[] = [
  fuzzOp("repeat", 0.6, (scope) => {
    const x = scope.choose(({ shape }) => shape.length > 0);
    if (!x) return undefined;
    const axis = axisOf(scope, x), count = scope.random.integer(1, 3);
    const shape = x.shape.with(axis, count * x.shape[axis]);
    return scope.fits(shape)
      ? scope.define("repeat", [x], { count, options: { axis } }, { shape, dtype: x.dtype }, scope.range(x))
      : undefined;
  }, positional("count", "options")),
  fuzzOp("tile", 0.6, (scope) => {
    const x = scope.choose(() => true) ?? scope.float(), lead = x.shape.length < 4 ? scope.random.integer(0, 1) : 0;
    const counts = Array.from({ length: x.shape.length + lead }, () => scope.random.weighted([[2, 1], [1, 2], [1, 3]]));
    const shape = counts.map((count, axis) => count * (axis < lead ? 1 : x.shape[axis - lead]));
    return scope.fits(shape)
      ? scope.define("tile", [x], { counts }, { shape, dtype: x.dtype }, scope.range(x))
      : undefined;
  }, positional("counts")),
  fuzzOp("roll", 0.6, (scope) => {
    const x = scope.choose(() => true) ?? scope.float(), shift = scope.random.integer(-4, 4);
    if (x.shape.length === 0 || scope.random.chance(0.2)) {
      return scope.define("roll", [x], { shift, options: {} }, x, scope.range(x));
    }
    const axes = scope.random.subset(x.shape.length);
    return scope.define("roll", [x], { shift, options: { axes } }, x, scope.range(x));
  }, positional("shift", "options")),
  ...["tril", "triu"].map((name) =>
    fuzzOp(name, 0.5, (scope) => {
      const x = scope.choose(({ shape }) => shape.length > 1);
      if (!x) return undefined;
      const diagonal = scope.random.integer(-2, 2), { low, high } = scope.range(x);
      return scope.define(name, [x], diagonal === 0 ? {} : { diagonal }, x, {
        low: Math.min(low, 0),
        high: Math.max(high, 0),
      });
    })
  ),
  fuzzOp("eye", 0.3, (scope) => {
    const shape = [scope.extent(33), scope.extent(33)], dtype = scope.random.of([scope.growth.float, "i32"] as const);
    const options = { columns: shape[1], diagonal: scope.random.integer(-1, 2), dtype };
    return scope.define("eye", [], { rows: shape[0], options }, { shape, dtype }, { low: 0, high: 1 });
  }, positional("rows", "options")),
];

/** The table's rows that arrange elements. */
export const ARRANGED: readonly FuzzOp[] = [...SORTED, ...DYNAMIC, ...COPIES];
