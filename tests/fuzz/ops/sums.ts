/** Ops that go along axes: reductions, products, recurrences, gathers and scatters, norms and softmax. */
import { sizeOfShape } from "../../../core/shape.ts";
import type { FuzzAttrs, Value } from "../program.ts";
import { broadcasts, type Range, type Scope } from "../scope.ts";
import { literal, nameOf } from "../text.ts";
import { type FuzzOp, fuzzOp } from "./fuzz_op.ts";

const sizeOf = ({ low, high }: Range): number => Math.max(Math.abs(low), Math.abs(high));
const symmetric = (size: number): Range => ({ low: -size, high: size });

/** A float with a last axis that is not empty. */
function rows(scope: Scope, limit = 1e3): Value {
  const fits = ({ shape }: Value) => shape.length > 0 && shape[shape.length - 1] > 0;
  const x = scope.float(fits);
  return scope.bounded(
    fits(x) ? x : scope.anyInput({ shape: [scope.extent() || 3], dtype: scope.growth.float }),
    limit,
  );
}

/** Axes to reduce as options, and the shape that is left. */
function reduction(scope: Scope, { shape }: Value): { attrs: FuzzAttrs; shape: number[]; count: number } {
  const all = scope.random.chance(0.2) || shape.length === 0;
  const axes = all ? [...shape.keys()] : scope.random.subset(shape.length), keepDims = scope.random.chance(0.3);
  const given = axes.length === 1 && scope.random.chance(0.5)
    ? axes[0] - (scope.random.chance(0.3) ? shape.length : 0)
    : axes;
  return {
    attrs: { ...(!all && { axes: given }), ...(keepDims && { keepDims }) },
    shape: shape.flatMap((extent, axis) => (axes.includes(axis) ? (keepDims ? [1] : []) : [extent])),
    count: sizeOfShape(axes.map((axis) => shape[axis])),
  };
}

const REDUCTIONS: readonly FuzzOp[] = [
  fuzzOp("sum", 4, (scope) => {
    const x = scope.bounded(scope.number(), 1e3), { attrs, shape, count } = reduction(scope, x);
    return scope.define(
      "sum",
      [x],
      attrs,
      { shape, dtype: x.dtype },
      symmetric(sizeOf(scope.range(x)) * Math.max(1, count)),
    );
  }),
  fuzzOp("mean", 1.5, (scope) => {
    const x = scope.bounded(scope.float(({ shape }) => sizeOfShape(shape) > 0), 1e3),
      { attrs, shape, count } = reduction(scope, x);
    return count > 0 ? scope.define("mean", [x], attrs, { shape, dtype: x.dtype }, scope.range(x)) : undefined;
  }),
  ...["max", "min"].map((name) =>
    fuzzOp(name, 1.5, (scope) => {
      const x = scope.number(({ shape }) => sizeOfShape(shape) > 0), { attrs, shape, count } = reduction(scope, x);
      return count > 0 ? scope.define(name, [x], attrs, { shape, dtype: x.dtype }, scope.range(x)) : undefined;
    })
  ),
  fuzzOp("variance", 0.7, (scope) => {
    const x = scope.bounded(scope.float(({ shape }) => sizeOfShape(shape) > 0), 30),
      { attrs, shape, count } = reduction(scope, x),
      ddof = scope.random.integer(0, 1);
    return count > 1
      ? scope.define("variance", [x], { ...attrs, ...(ddof > 0 && { ddof }) }, { shape, dtype: x.dtype }, {
        low: 0,
        high: 4 * sizeOf(scope.range(x)) ** 2,
      })
      : undefined;
  }),
  fuzzOp("prod", 0.7, (scope) => {
    const x = scope.bounded(scope.number(), 1.2), { attrs, shape } = reduction(scope, x);
    return scope.define("prod", [x], attrs, { shape, dtype: x.dtype }, symmetric(50));
  }),
  ...["any", "all"].map((name) =>
    fuzzOp(name, 0.4, (scope) => {
      const x = scope.bool(), { attrs, shape } = reduction(scope, x);
      return scope.define(name, [x], attrs, { shape, dtype: "bool" }, { low: 0, high: 1 });
    })
  ),
  ...(["argmax", "argmin"] as const).map((name) =>
    fuzzOp(name, 0.7, (scope) => {
      // Whole numbers tie, and the first counts.
      const isTied = scope.random.chance(0.3), dtype = scope.random.of([scope.growth.float, "i32"] as const);
      const x = isTied
        ? scope.input({ shape: [scope.extent(8) || 1, scope.random.of([3, 16, 65, 300])], dtype }, {
          kind: "integers",
          low: 0,
          high: 4,
          seed: scope.random.seed(),
        })
        : scope.number(({ shape }) => sizeOfShape(shape) > 0);
      if (sizeOfShape(x.shape) === 0) return undefined;
      const keepDims = scope.random.chance(0.3), options: FuzzAttrs = keepDims ? { keepDims } : {};
      if (x.shape.length === 0 || scope.random.chance(0.2)) {
        const shape = keepDims ? x.shape.map(() => 1) : [];
        return scope.define(name, [x], options, { shape, dtype: "i32" }, { low: 0, high: sizeOfShape(x.shape) - 1 });
      }
      const axis = scope.random.integer(0, x.shape.length - 1),
        shape = keepDims ? x.shape.with(axis, 1) : x.shape.toSpliced(axis, 1);
      return scope.define(name, [x], { axis, ...options }, { shape, dtype: "i32" }, {
        low: 0,
        high: x.shape[axis] - 1,
      });
    })
  ),
];

/**
 * Zeros outside of a band of the last two axes, as masks of attention and of chunked memories make them; or by any
 * mask.
 */
function masked(scope: Scope, x: Value): Value {
  const rank = x.shape.length, { random } = scope;
  if (rank < 2) return x;
  if (random.chance(0.25)) {
    const mask = scope.bool(x), shape = broadcasts(mask.shape, x.shape);
    if (!shape || shape.length !== rank || sizeOfShape(shape) !== sizeOfShape(x.shape)) return x;
    return scope.define("where", [mask, x], { number: 0 }, x, scope.range(x));
  }
  const shape = x.shape.slice(-2), bool = { shape, dtype: "bool" } as const;
  const [row, column] = [0, 1].map((axis) =>
    scope.define("iota", [], { shape, axis, dtype: "i32" }, { shape, dtype: "i32" }, { low: 0, high: shape[axis] })
  );
  const edge = (op: string): Value => {
    const shift = random.integer(-3, 3);
    const moved = shift === 0 ? column : scope.define("add", [column], { number: shift }, column);
    return scope.define(op, [moved, row], {}, bool, { low: 0, high: 1 });
  };
  const one = edge(random.of(["lessEqual", "less", "greater", "greaterEqual"]));
  const band = random.chance(0.4)
    ? scope.define("logicalAnd", [one, edge(random.of(["greater", "greaterEqual", "lessEqual"]))], {}, bool, {
      low: 0,
      high: 1,
    })
    : one;
  return scope.define("where", [band, x], { number: 0 }, x, scope.range(x));
}

/**
 * `[..., M, K]` by `[..., K, N]`, vectors and broadcast batches among them; now and then a factor, or the product, is
 * masked.
 */
const matmul = fuzzOp("matmul", 3, (scope) => {
  const any = scope.bounded(scope.float(({ shape }) => shape.length > 0), 30);
  const x = scope.random.chance(0.3) ? masked(scope, any) : any;
  const rank = x.shape.length;
  if (rank === 0) return undefined;
  const K = x.shape[rank - 1];
  const isRight = ({ shape }: Value) =>
    shape.length > 0 && shape[Math.max(0, shape.length - 2)] === K && batchOf(x, shape) !== undefined;
  const present = scope.random.chance(0.5)
    ? scope.choose((value) => value.dtype === x.dtype && isRight(value))
    : undefined;
  const batch = rank > 2
    ? scope.random.of([
      [],
      x.shape.slice(0, -2),
      x.shape.slice(0, -2).map((extent) => (scope.random.chance(0.5) ? 1 : extent)),
    ])
    : [];
  const right = scope.bounded(
    present ??
      scope.anyInput({ shape: scope.random.chance(0.15) ? [K] : [...batch, K, scope.extent(64)], dtype: x.dtype }),
    30,
  );
  const y = scope.random.chance(0.15) ? masked(scope, right) : right;
  const shape = productShape(x.shape, y.shape);
  if (!shape || !scope.fits(shape)) return undefined;
  const range = symmetric(sizeOf(scope.range(x)) * sizeOf(scope.range(y)) * Math.max(1, K));
  const product = scope.define("matmul", [x, y], {}, { shape, dtype: x.dtype }, range);
  return scope.random.chance(0.15) ? masked(scope, product) : product;
});

function batchOf({ shape }: Value, right: readonly number[]): readonly number[] | undefined {
  return broadcasts(shape.slice(0, -2), right.slice(0, -2));
}

function productShape(lhs: readonly number[], rhs: readonly number[]): number[] | undefined {
  const batch = broadcasts(lhs.slice(0, -2), rhs.slice(0, -2));
  return batch &&
    [...batch, ...(lhs.length > 1 ? [lhs[lhs.length - 2]] : []), ...(rhs.length > 1 ? [rhs[rhs.length - 1]] : [])];
}

const einsum = fuzzOp("einsum", 1, (scope) => {
  const x = scope.bounded(scope.float(), 30), letters = [..."abcde"].slice(0, x.shape.length);
  const extents = new Map(letters.map((letter, axis) => [letter, x.shape[axis]]));
  const subset = (list: readonly string[]) =>
    scope.random.permutation(list.length).slice(0, scope.random.integer(0, list.length)).map((i) => list[i]);
  if (scope.random.chance(0.2)) {
    const out = subset(letters), shape = out.map((letter) => extents.get(letter)!);
    return scope.define(
      "einsum",
      [x],
      { subscripts: `${letters.join("")}->${out.join("")}` },
      { shape, dtype: x.dtype },
      symmetric(1e3 * sizeOf(scope.range(x))),
    );
  }
  const more = scope.random.chance(0.6) ? ["x"] : [];
  for (const letter of more) extents.set(letter, scope.extent(16));
  const shared = subset(letters),
    second = scope.random.permutation(shared.length + more.length).map((i) => [...shared, ...more][i]);
  const y = scope.anyInput({ shape: second.map((letter) => extents.get(letter)!), dtype: x.dtype });
  const out = subset([...new Set([...letters, ...more])]), shape = out.map((letter) => extents.get(letter)!);
  // Without a sum across both, the product of all axes is made in between.
  const whole = [...extents.values()];
  if (!scope.fits(shape) || whole.length > 6 || sizeOfShape(whole) > 8 * scope.growth.maxElements) return undefined;
  const subscripts = `${letters.join("")},${second.join("")}->${out.join("")}`;
  return scope.define(
    "einsum",
    [x, y],
    { subscripts },
    { shape, dtype: x.dtype },
    symmetric(1e3 * sizeOf(scope.range(x))),
  );
}, ({ args, attrs }) => `einsum(${[literal(attrs.subscripts), ...args.map(nameOf)].join(", ")})`);

/** Factors that keep a recurrence from growing. */
function decaying(scope: Scope, like: Value): Value {
  if (scope.random.chance(0.5)) {
    return scope.input(like, { kind: "uniform", low: -0.5, high: 1, seed: scope.random.seed() });
  }
  const x = scope.partner(like);
  return scope.define("sigmoid", [scope.bounded(x, 50)], {}, x, { low: 0, high: 1 });
}

function along(scope: Scope, { shape }: Value): FuzzAttrs {
  const axis = scope.random.integer(0, shape.length - 1);
  return {
    axis: scope.random.chance(0.2) ? axis - shape.length : axis,
    ...(scope.random.chance(0.4) && { reverse: true }),
  };
}

const hasAxis = ({ shape }: Value) => shape.length > 0;
const RECURRENCES: readonly FuzzOp[] = [
  fuzzOp("linearScan", 2, (scope) => {
    const b = scope.bounded(scope.float(hasAxis), 30);
    if (!hasAxis(b)) return undefined;
    const a = decaying(scope, b), shape = broadcasts(a.shape, b.shape)!;
    if (!scope.fits(shape)) return undefined;
    return scope.define(
      "linearScan",
      [a, b],
      along(scope, { ...b, shape }),
      { shape, dtype: b.dtype },
      symmetric(sizeOf(scope.range(b)) * Math.max(...shape)),
    );
  }),
  fuzzOp("cumsum", 1, (scope) => {
    const x = scope.bounded(scope.number(hasAxis), 100);
    if (!hasAxis(x)) return undefined;
    return scope.define("cumsum", [x], along(scope, x), x, symmetric(sizeOf(scope.range(x)) * Math.max(1, ...x.shape)));
  }),
  fuzzOp("cumprod", 0.7, (scope) => {
    const x = scope.bounded(scope.float(hasAxis), 1.2);
    return hasAxis(x) ? scope.define("cumprod", [x], along(scope, x), x, symmetric(50)) : undefined;
  }),
];

/** An axis and indices for it. */
function picked(scope: Scope, { shape }: Value): { axis: number; indices: Value; gathered: number[] } {
  const axis = scope.random.integer(0, shape.length - 1), extent = shape[axis];
  const isIndex = (value: Value) => {
    const { low, high } = scope.range(value);
    return (value.dtype === "i32" || value.dtype === "u32") && low >= -2 && high <= extent + 1 &&
      sizeOfShape(value.shape) <= 64;
  };
  const present = scope.random.chance(0.4) ? scope.choose(isIndex) : undefined;
  const indices = present ?? scope.indices(extent, scope.shape(scope.random.integer(0, 2)).map((n) => Math.min(n, 8)));
  return { axis, indices, gathered: [...shape.slice(0, axis), ...indices.shape, ...shape.slice(axis + 1)] };
}

/** What the body has computed, scattered into another tensor: its gradient goes through the updates. */
function scatterOf(scope: Scope): Value | undefined {
  const fits = (value: Value) => hasAxis(value) && value.dtype !== "bool";
  const updates = scope.choose((value) => scope.owns(value) && fits(value)) ?? scope.number(fits);
  if (!fits(updates)) return undefined;
  const small = scope.bounded(updates, 1e3),
    axis = scope.random.integer(0, small.shape.length - 1),
    extent = scope.random.integer(1, 6);
  const shape = small.shape.with(axis, extent);
  if (!scope.fits(shape)) return undefined;
  const operand = scope.anyInput({ shape, dtype: small.dtype }), indices = scope.indices(extent, [small.shape[axis]]);
  return scope.define(
    "scatterAdd",
    [operand, indices, small],
    { axis },
    { shape, dtype: small.dtype },
    symmetric(64 * sizeOf(scope.range(small)) + 7),
  );
}

const GATHERS: readonly FuzzOp[] = [
  fuzzOp("gather", 1.5, (scope) => {
    const x = scope.choose(hasAxis) ?? scope.float(hasAxis);
    if (!hasAxis(x)) return undefined;
    const { axis, indices, gathered } = picked(scope, x);
    return scope.fits(gathered)
      ? scope.define("gather", [x, indices], { axis }, { shape: gathered, dtype: x.dtype }, scope.range(x))
      : undefined;
  }),
  fuzzOp("scatterAdd", 1, (scope) => {
    if (scope.random.chance(0.4)) return scatterOf(scope);
    const x = scope.bounded(scope.number(hasAxis), 1e3);
    if (!hasAxis(x)) return undefined;
    const { axis, indices, gathered } = picked(scope, x);
    if (!scope.fits(gathered)) return undefined;
    const fits = ({ shape, dtype }: Value) =>
      dtype === x.dtype && shape.length === gathered.length && shape.every((extent, i) => extent === gathered[i]);
    const updates = scope.choose(fits) ?? scope.anyInput({ shape: gathered, dtype: x.dtype });
    return scope.define(
      "scatterAdd",
      [x, indices, updates],
      { axis },
      x,
      symmetric(sizeOf(scope.range(x)) + 64 * sizeOf(scope.range(updates))),
    );
  }),
  fuzzOp("oneHot", 0.5, (scope) => {
    const x = scope.choose(({ dtype, shape }) => (dtype === "i32" || dtype === "u32") && shape.length < 5) ??
      scope.indices(5, scope.shape(1));
    const classes = scope.extent(9),
      dtype = scope.random.of([scope.growth.float, "i32", "bool"] as const),
      shape = [...x.shape, classes];
    return scope.fits(shape)
      ? scope.define("oneHot", [x], { classes, dtype }, { shape, dtype }, { low: 0, high: 1 })
      : undefined;
  }, ({ args, attrs }) => `oneHot(${nameOf(args[0])}, ${attrs.classes}, ${literal({ dtype: attrs.dtype })})`),
];

function overAxis(name: string, weight: number, range: (x: Range, extent: number) => Range, drops: boolean): FuzzOp {
  return fuzzOp(name, weight, (scope) => {
    const x = rows(scope, 30),
      axis = scope.random.chance(0.6) ? x.shape.length - 1 : scope.random.integer(0, x.shape.length - 1);
    if (x.shape[axis] === 0) return undefined;
    const isLast = axis === x.shape.length - 1 && scope.random.chance(0.7);
    return scope.define(
      name,
      [x],
      isLast ? {} : { axis },
      { shape: drops ? x.shape.toSpliced(axis, 1) : x.shape, dtype: x.dtype },
      range(scope.range(x), x.shape[axis]),
    );
  });
}

/** A gain or a bias for the last axis. */
function perColumn(scope: Scope, x: Value): Value {
  const shape = scope.random.chance(0.8) ? x.shape.slice(-1) : x.shape;
  return scope.choose((value) =>
    value.dtype === x.dtype && value.shape.length === 1 && value.shape[0] === shape[0] && shape.length === 1
  ) ??
    scope.anyInput({ shape, dtype: x.dtype });
}

/** A norm with optional operands: attributes name those that are given, in order. */
function norm(name: string, operands: readonly string[]): FuzzOp {
  return fuzzOp(name, 1, (scope) => {
    const x = rows(scope, 100), given = operands.filter(() => scope.random.chance(0.6));
    const extra = given.map(() => perColumn(scope, x));
    const epsilon = scope.random.of([1e-5, 1e-3, 0.1]);
    return scope.define(
      name,
      [x, ...extra],
      { operands: given, epsilon },
      x,
      symmetric(Math.sqrt(x.shape[x.shape.length - 1]) * 20),
    );
  }, ({ op, args, attrs }) => {
    const names = attrs.operands as readonly string[];
    const options = [
      ...names.map((option, i) => `${option}: ${nameOf(args[i + 1])}`),
      ...(attrs.epsilon === undefined ? [] : [`epsilon: ${literal(attrs.epsilon)}`]),
    ];
    return `${op}(${nameOf(args[0])}, { ${options.join(", ")} })`;
  });
}

const ROWS: readonly FuzzOp[] = [
  overAxis("softmax", 2, () => ({ low: 0, high: 1 }), false),
  overAxis("logSoftmax", 1, (x, extent) => ({ low: -2 * sizeOf(x) - Math.log(extent + 1), high: 0 }), false),
  overAxis("logSumExp", 1, (x, extent) => symmetric(sizeOf(x) + Math.log(extent + 1)), true),
  norm("layerNorm", ["gain", "bias"]),
  norm("rmsNorm", ["gain"]),
  norm("l2Normalize", []),
  fuzzOp("crossEntropy", 0.7, (scope) => {
    const x = rows(scope, 30), classes = x.shape[x.shape.length - 1], shape = x.shape.slice(0, -1);
    const targets = scope.indices(classes, shape), reduction = scope.random.of(["mean", "sum", "none"] as const);
    return scope.define("crossEntropy", [x, targets], {
      reduction,
      ...(scope.random.chance(0.4) && { ignoreIndex: scope.random.integer(0, classes) }),
      ...(scope.random.chance(0.3) && { labelSmoothing: 0.1 }),
    }, {
      shape: reduction === "none" ? shape : [],
      dtype: x.dtype,
    }, symmetric(1e3));
  }),
];

/** The table's rows that go along axes. */
export const SUMS: readonly FuzzOp[] = [...REDUCTIONS, matmul, einsum, ...RECURRENCES, ...GATHERS, ...ROWS];
