/** Elementwise ops: arithmetic, functions, comparisons, choices, activations. */
import { isFloat } from "../../../core/dtype.ts";
import type { Value } from "../program.ts";
import { broadcasts, type Range, type Scope } from "../scope.ts";
import { literal, nameOf } from "../text.ts";
import { type FuzzOp, fuzzOp, positional } from "./fuzz_op.ts";

type Image = (range: Range) => Range;

const symmetric = (size: number): Range => ({ low: -size, high: size });
const sizeOf = ({ low, high }: Range): number => Math.max(Math.abs(low), Math.abs(high));

/** A function of one float; `limit` is how large its argument may be. */
function unary(name: string, limit: number, image: Image, weight = 1): FuzzOp {
  return fuzzOp(name, weight, (scope) => {
    const x = scope.bounded(scope.float(), scope.growth.edges && scope.random.chance(0.3) ? Infinity : limit);
    return scope.define(name, [x], {}, x, image(scope.range(x)));
  });
}

/** A function that needs an argument above 0, and now and then gets another one. */
function unaryOfPositive(name: string, image: Image): FuzzOp {
  return fuzzOp(name, 1, (scope) => {
    const any = scope.float();
    const x = scope.growth.edges && scope.random.chance(0.5) ? any : scope.positive(any);
    return scope.define(name, [x], {}, x, image(scope.range(x)));
  });
}

/** A function of a float or an i32. */
function signed(name: string, image: Image): FuzzOp {
  return fuzzOp(name, 1, (scope) => {
    const x = scope.number(({ dtype }) => dtype !== "u32");
    return scope.define(name, [x], {}, x, image(scope.range(x)));
  });
}

const UNARY: readonly FuzzOp[] = [
  signed("neg", ({ low, high }) => ({ low: -high, high: -low })),
  signed("abs", (range) => ({ low: Math.max(0, range.low, -range.high), high: sizeOf(range) })),
  signed("sign", () => symmetric(1)),
  unary("exp", 4, ({ low, high }) => ({ low: Math.exp(low), high: Math.exp(high) }), 2),
  unary("sin", 100, () => symmetric(1)),
  unary("cos", 100, () => symmetric(1)),
  unary("tanh", 20, () => symmetric(1)),
  unary("sigmoid", 50, () => ({ low: 0, high: 1 })),
  unary("erf", 8, () => symmetric(1)),
  unary("floor", 1e4, ({ low, high }) => ({ low: low - 1, high })),
  unary("ceil", 1e4, ({ low, high }) => ({ low, high: high + 1 })),
  unary("round", 1e4, ({ low, high }) => ({ low: low - 1, high: high + 1 })),
  unary("expm1", 4, ({ low, high }) => ({ low: Math.expm1(low), high: Math.expm1(high) })),
  unary("relu", 1e4, ({ high }) => ({ low: 0, high: Math.max(0, high) }), 2),
  unary("silu", 50, (range) => ({ low: -0.3, high: sizeOf(range) })),
  unary("softplus", 50, (range) => ({ low: 0, high: sizeOf(range) + 1 })),
  unary("logSigmoid", 50, (range) => ({ low: -sizeOf(range) - 1, high: 0 })),
  unary("gelu", 20, (range) => ({ low: -0.2, high: sizeOf(range) })),
  unaryOfPositive(
    "log",
    ({ low, high }) => ({ low: Math.log(Math.max(low, 1e-3)), high: Math.log(Math.max(high, 1e-3)) }),
  ),
  unaryOfPositive(
    "log1p",
    ({ low, high }) => ({ low: Math.log1p(Math.max(low, -0.999)), high: Math.log1p(Math.max(high, -0.999)) }),
  ),
  unaryOfPositive(
    "sqrt",
    ({ low, high }) => ({ low: Math.sqrt(Math.max(0, low)), high: Math.sqrt(Math.max(0, high)) }),
  ),
  unaryOfPositive(
    "rsqrt",
    ({ low, high }) => ({ low: 1 / Math.sqrt(Math.max(high, 1e-3)), high: 1 / Math.sqrt(Math.max(low, 1e-3)) }),
  ),
  unaryOfPositive("reciprocal", ({ low, high }) => ({ low: 1 / Math.max(high, 1e-3), high: 1 / Math.max(low, 1e-3) })),
  fuzzOp("square", 1, (scope) => {
    const any = scope.number(), x = scope.bounded(any, 100);
    return scope.define("square", [x], {}, x, { low: 0, high: sizeOf(scope.range(x)) ** 2 });
  }),
  fuzzOp("gelu", 0.5, (scope) => {
    const x = scope.bounded(scope.float(), 20);
    return scope.define("gelu", [x], { approximate: "none" }, x, { low: -0.2, high: sizeOf(scope.range(x)) });
  }),
];

const ARITHMETIC: Readonly<Record<string, (x: Range, y: Range) => Range>> = {
  add: (x, y) => ({ low: x.low + y.low, high: x.high + y.high }),
  sub: (x, y) => ({ low: x.low - y.high, high: x.high - y.low }),
  mul: (x, y) => symmetric(sizeOf(x) * sizeOf(y)),
  maximum: (x, y) => ({ low: Math.max(x.low, y.low), high: Math.max(x.high, y.high) }),
  minimum: (x, y) => ({ low: Math.min(x.low, y.low), high: Math.min(x.high, y.high) }),
};

/** `op(x, y)`, `op(x, number)` or `op(number, x)`. */
function withNumber(name: string, weight: number, make: FuzzOp["make"]): FuzzOp {
  return fuzzOp(name, weight, make, ({ op, args, attrs }) => {
    const operands = args.map(nameOf);
    if (attrs.number !== undefined) operands.splice(attrs.first ? 0 : 1, 0, literal(attrs.number));
    return `${op}(${operands.join(", ")})`;
  });
}

function numberFor(scope: Scope, { dtype }: Value): number {
  return isFloat(dtype)
    ? scope.random.of([0.5, 2, -1, 1, 0, 0.1, scope.random.number(-3, 3)])
    : scope.random.integer(dtype === "i32" ? -3 : 0, 5);
}

function arithmetic(name: string, weight: number): FuzzOp {
  const image = ARITHMETIC[name];
  return withNumber(name, weight, (scope) => {
    const x = scope.bounded(scope.number(), 1e3);
    if (scope.random.chance(0.25)) {
      const number = numberFor(scope, x), first = scope.random.chance(0.4), constant = { low: number, high: number };
      const range = first ? image(constant, scope.range(x)) : image(scope.range(x), constant);
      return scope.define(name, [x], { number, ...(first && { first }) }, x, range);
    }
    const y = scope.bounded(scope.partner(x), 1e3);
    const [lhs, rhs] = scope.random.chance(0.5) ? [x, y] : [y, x];
    return scope.define(
      name,
      [lhs, rhs],
      {},
      { shape: broadcasts(x.shape, y.shape)!, dtype: x.dtype },
      image(scope.range(lhs), scope.range(rhs)),
    );
  });
}

const div = withNumber("div", 2, (scope) => {
  const x = scope.bounded(scope.number(), 1e3), size = sizeOf(scope.range(x));
  if (scope.random.chance(0.25)) {
    return scope.define("div", [x], { number: scope.random.of([2, 3, 4, 7]) }, x, symmetric(size));
  }
  const any = scope.partner(x), shape = broadcasts(x.shape, any.shape)!;
  if (!isFloat(x.dtype) || (scope.growth.edges && scope.random.chance(0.5))) {
    return scope.define("div", [x, any], {}, { shape, dtype: x.dtype });
  }
  const y = scope.positive(any);
  return scope.define(
    "div",
    [x, y],
    {},
    { shape, dtype: x.dtype },
    symmetric(size / Math.max(scope.range(y).low, 1e-3)),
  );
});

const mod = withNumber("mod", 0.7, (scope) => {
  const x = scope.bounded(scope.number(), 30);
  if (scope.random.chance(0.5)) {
    const number = isFloat(x.dtype) ? scope.random.of([1, 2, -3, 0.7]) : scope.random.of([1, 2, 3, 7]);
    return scope.define("mod", [x], { number }, x, symmetric(Math.abs(number)));
  }
  const any = scope.partner(x), y = isFloat(x.dtype) && !scope.growth.edges ? scope.positive(any) : any;
  return scope.define("mod", [x, y], {}, { shape: broadcasts(x.shape, y.shape)!, dtype: x.dtype }, scope.range(y));
});

/** `clip(x, low, high)`, each bound a number or a tensor. */
const clip = fuzzOp("clip", 0.7, (scope) => {
  const x = scope.bounded(scope.number(), 1e3);
  const [low, high] = isFloat(x.dtype) ? [-0.75, 1] : [1, 4];
  const bound = scope.random.chance(0.4) ? scope.bounded(scope.partner(x), 1e3) : undefined;
  if (!bound) return scope.define("clip", [x], { low, high }, x, { low, high });
  const shape = broadcasts(x.shape, bound.shape)!;
  return scope.define("clip", [x, bound], { high }, { shape, dtype: x.dtype }, {
    low: Math.min(scope.range(x).low, high),
    high,
  });
}, ({ args, attrs }) => {
  const low = args.length > 1 ? nameOf(args[1]) : literal(attrs.low);
  return `clip(${nameOf(args[0])}, ${low}, ${literal(attrs.high)})`;
});

const CLASSES = ["isNaN", "isFinite"].map((name) =>
  fuzzOp(name, 0.3, (scope) => {
    const x = scope.float();
    return scope.define(name, [x], {}, { shape: x.shape, dtype: "bool" }, { low: 0, high: 1 });
  })
);

const pow = withNumber("pow", 1, (scope) => {
  const base = scope.bounded(scope.float(), 3);
  if (scope.random.chance(0.5)) {
    const number = scope.random.of([0, 1, 2, 3, 4, 5, 7, 0.5, 1.5, -1, -2, -0.5, 2.25]);
    const isWhole = Number.isInteger(number) && number >= 0;
    const x = isWhole || (scope.growth.edges && scope.random.chance(0.5)) ? base : scope.positive(base);
    return scope.define(
      "pow",
      [x],
      { number },
      x,
      isWhole ? symmetric(sizeOf(scope.range(x)) ** number + 1) : { low: 0, high: 1e4 },
    );
  }
  const x = scope.growth.edges && scope.random.chance(0.5) ? base : scope.positive(base);
  const y = scope.bounded(scope.partner(x), 3);
  return scope.define("pow", [x, y], {}, { shape: broadcasts(x.shape, y.shape)!, dtype: x.dtype }, {
    low: 0,
    high: 1e4,
  });
});

const COMPARISONS = ["equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual"].map((name) =>
  withNumber(name, 0.5, (scope) => {
    const anyDType = name.endsWith("qual") && name[0] !== "l" && name[0] !== "g";
    const x = anyDType && scope.random.chance(0.2) ? scope.bool() : scope.number();
    if (x.dtype !== "bool" && scope.random.chance(0.4)) {
      return scope.define(name, [x], { number: numberFor(scope, x) }, { shape: x.shape, dtype: "bool" }, {
        low: 0,
        high: 1,
      });
    }
    const y = scope.partner(x);
    return scope.define(name, [x, y], {}, { shape: broadcasts(x.shape, y.shape)!, dtype: "bool" }, { low: 0, high: 1 });
  })
);

const LOGIC: readonly FuzzOp[] = [
  ...["logicalAnd", "logicalOr"].map((name) =>
    fuzzOp(name, 0.5, (scope) => {
      const x = scope.bool(), y = scope.bool(x);
      const shape = broadcasts(x.shape, y.shape);
      return shape && scope.fits(shape)
        ? scope.define(name, [x, y], {}, { shape, dtype: "bool" }, { low: 0, high: 1 })
        : undefined;
    })
  ),
  fuzzOp("logicalNot", 0.4, (scope) => {
    const x = scope.bool();
    return scope.define("logicalNot", [x], {}, x, { low: 0, high: 1 });
  }),
];

const where = withNumber("where", 2, (scope) => {
  const x = scope.random.chance(0.1) ? scope.bool() : scope.number();
  const cond = scope.bool(x), shape = broadcasts(cond.shape, x.shape)!;
  if (!scope.fits(shape)) return undefined;
  if (x.dtype !== "bool" && scope.random.chance(0.4)) {
    const number = scope.random.chance(0.7) ? 0 : numberFor(scope, x), { low, high } = scope.range(x);
    return scope.define("where", [cond, x], { number, ...(scope.random.chance(0.5) && { first: true }) }, {
      shape,
      dtype: x.dtype,
    }, {
      low: Math.min(low, number),
      high: Math.max(high, number),
    });
  }
  const y = scope.partner(
    x,
    (other) => broadcasts(shape, other.shape) !== undefined && scope.fits(broadcasts(shape, other.shape)!),
  );
  const all = broadcasts(shape, y.shape);
  if (!all || !scope.fits(all)) return undefined;
  const [a, b] = [scope.range(x), scope.range(y)];
  return scope.define("where", [cond, x, y], {}, { shape: all, dtype: x.dtype }, {
    low: Math.min(a.low, b.low),
    high: Math.max(a.high, b.high),
  });
});

const CHOICE: readonly FuzzOp[] = [
  {
    ...where,
    // where(cond, x, number) and where(cond, number, x): the number stands behind the condition.
    call: ({ args, attrs }) => {
      const operands = args.map(nameOf);
      if (attrs.number !== undefined) operands.splice(attrs.first ? 1 : 2, 0, literal(attrs.number));
      return `where(${operands.join(", ")})`;
    },
  },
  fuzzOp("cast", 1, (scope) => {
    const from = scope.choose(() => true) ?? scope.float();
    const dtype = scope.random.of(
      (["f32", "i32", "u32", "bool", scope.growth.float] as const).filter((to) => to !== from.dtype),
    );
    if (!dtype) return undefined;
    // Outside an integer's range a conversion is unspecified; u32 has no negative numbers.
    const x = isFloat(from.dtype) && dtype !== "bool" && !isFloat(dtype) ? scope.bounded(from, 1e6) : from;
    const safe = dtype === "u32" && isFloat(x.dtype)
      ? scope.define("abs", [x], {}, x, { low: 0, high: sizeOf(scope.range(x)) })
      : x;
    return scope.define(
      "cast",
      [safe],
      { dtype },
      { shape: safe.shape, dtype },
      dtype === "bool" ? { low: 0, high: 1 } : scope.range(safe),
    );
  }, positional("dtype")),
  fuzzOp("stopGradient", 0.4, (scope) => {
    const x = scope.float();
    return scope.define("stopGradient", [x], {}, x, scope.range(x));
  }),
  fuzzOp("swiglu", 0.4, (scope) => {
    const x = scope.bounded(scope.float(), 50), y = scope.bounded(scope.partner(x), 50);
    const size = sizeOf(scope.range(x)) * sizeOf(scope.range(y));
    return scope.define(
      "swiglu",
      [x, y],
      {},
      { shape: broadcasts(x.shape, y.shape)!, dtype: x.dtype },
      symmetric(size),
    );
  }),
];

/** The table's elementwise rows. */
export const ELEMENTWISE: readonly FuzzOp[] = [
  ...UNARY,
  arithmetic("add", 4),
  arithmetic("sub", 2),
  arithmetic("mul", 4),
  arithmetic("maximum", 1),
  arithmetic("minimum", 1),
  div,
  mod,
  clip,
  ...CLASSES,
  pow,
  ...COMPARISONS,
  ...LOGIC,
  ...CHOICE,
];
