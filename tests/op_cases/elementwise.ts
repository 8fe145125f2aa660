/** Cases of elementwise ops. */
import type { Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { broadcastShapes, type Shape } from "../../core/shape.ts";
import * as ops from "../../ops/mod.ts";
import { array, at, build, distinct, integers, random, type ToleranceClass } from "../numeric.ts";
import { type CaseOptions, type OpCase, opCase } from "./op_case.ts";

/** Size 1, primes, not multiples of 4 or 64, rank 0, empty. */
const SHAPES: readonly Shape[] = [[], [1], [3, 5], [67], [2, 3, 7], [0, 2]];

const mapped = (scalar: (x: number) => number) => (x: NdArray) => x.data.map(scalar);

interface UnaryRow {
  readonly fn: (x: Tensor) => Tensor;
  readonly scalar: (x: number) => number;
  readonly low: number;
  readonly high: number;
  readonly tolerance: ToleranceClass;
  readonly shapes?: readonly Shape[];
}

/** Enough for a function that shares all its code but the expression itself with others. */
const FEW: readonly Shape[] = [[], [67], [0, 2]];

const square = (x: number) => x * x;
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** erf by integrating its derivative with Simpson's rule: independent of the series in ops. */
function erf(x: number): number {
  const steps = 4000, h = x / steps;
  let total = 1 + Math.exp(-x * x);
  for (let i = 1; i < steps; i++) total += (i % 2 === 1 ? 4 : 2) * Math.exp(-square(i * h));
  return (2 / Math.sqrt(Math.PI)) * total * h / 3;
}

const UNARY: Readonly<Record<string, UnaryRow>> = {
  neg: { fn: ops.neg, scalar: (x) => -x, low: -2, high: 2, tolerance: "exact" },
  abs: { fn: ops.abs, scalar: Math.abs, low: -2, high: 2, tolerance: "exact" },
  sign: { fn: ops.sign, scalar: Math.sign, low: -2, high: 2, tolerance: "exact" },
  exp: { fn: ops.exp, scalar: Math.exp, low: -6, high: 4, tolerance: "function" },
  log: { fn: ops.log, scalar: Math.log, low: 0.1, high: 9, tolerance: "function" },
  sqrt: { fn: ops.sqrt, scalar: Math.sqrt, low: 0.1, high: 9, tolerance: "function" },
  rsqrt: { fn: ops.rsqrt, scalar: (x) => 1 / Math.sqrt(x), low: 0.3, high: 9, tolerance: "function" },
  sin: { fn: ops.sin, scalar: Math.sin, low: -6, high: 6, tolerance: "function" },
  cos: { fn: ops.cos, scalar: Math.cos, low: -6, high: 6, tolerance: "function" },
  tanh: { fn: ops.tanh, scalar: Math.tanh, low: -4, high: 4, tolerance: "function" },
  sigmoid: { fn: ops.sigmoid, scalar: sigmoid, low: -9, high: 9, tolerance: "function" },
  erf: { fn: ops.erf, scalar: erf, low: -2.5, high: 2.5, tolerance: "function" },
  floor: { fn: ops.floor, scalar: Math.floor, low: -2.5, high: 2.5, tolerance: "exact" },
  ceil: { fn: ops.ceil, scalar: Math.ceil, low: -2.5, high: 2.5, tolerance: "exact", shapes: FEW },
  round: { fn: ops.round, scalar: (x) => Math.round(x), low: -3.49, high: 3.21, tolerance: "exact", shapes: FEW },
  log1p: { fn: ops.log1p, scalar: Math.log1p, low: -0.9, high: 9, tolerance: "function", shapes: FEW },
  expm1: { fn: ops.expm1, scalar: Math.expm1, low: -4, high: 3, tolerance: "function", shapes: FEW },
  square: { fn: ops.square, scalar: square, low: -2, high: 2, tolerance: "arithmetic" },
  reciprocal: { fn: ops.reciprocal, scalar: (x) => 1 / x, low: 0.3, high: 3, tolerance: "arithmetic" },
};

const unaryCases = Object.entries(UNARY).flatMap(([op, { fn, scalar, low, high, tolerance, shapes = SHAPES }]) =>
  shapes.map((shape, i) => opCase(op, [distinct(shape, low, high, i + 1)], fn, { expected: mapped(scalar), tolerance }))
);

const extremeCases: OpCase[] = [
  opCase("sigmoid", [array([6], [-1000, -100, -30, 30, 100, 1000])], ops.sigmoid, {
    name: "far out",
    expected: () => [0, Math.exp(-100), Math.exp(-30) / (1 + Math.exp(-30)), 1 / (1 + Math.exp(-30)), 1, 1],
    tolerance: "function",
  }),
  opCase("tanh", [array([4], [-1000, -50, 50, 1000])], ops.tanh, {
    name: "far out",
    expected: () => [-1, -1, 1, 1],
    tolerance: "function",
  }),
  opCase("erf", [array([7], [-30, -5, -3.5, 3, 4, 6, 30])], ops.erf, {
    name: "far out",
    // From tables of erfc: 1 - erf(3) = 2.209049699858544e-5, 3.5: 7.430983723414128e-7, 4: 1.541725790028002e-8, 5:
    // 1.5374597944280349e-12.
    expected: () => [
      -1,
      1.5374597944280349e-12 - 1,
      7.430983723414128e-7 - 1,
      1 - 2.209049699858544e-5,
      1 - 1.541725790028002e-8,
      1,
      1,
    ],
    tolerance: "function",
  }),
  ...(["neg", "abs", "sign"] as const).map((op) =>
    opCase(op, [array([5], [-7, -1, 0, 1, 2147483647], "i32")], UNARY[op].fn, {
      expected: mapped((x) => UNARY[op].scalar(x) + 0),
      tolerance: "exact",
    })
  ),
];

interface BinaryRow {
  readonly fn: (x: Tensor, y: Tensor) => Tensor;
  readonly scalar: (x: number, y: number) => number;
  readonly right?: readonly [number, number];
  readonly left?: readonly [number, number];
  readonly tolerance?: ToleranceClass;
}

const BINARY: Readonly<Record<string, BinaryRow>> = {
  add: { fn: ops.add, scalar: (x, y) => x + y },
  sub: { fn: ops.sub, scalar: (x, y) => x - y },
  mul: { fn: ops.mul, scalar: (x, y) => x * y },
  div: { fn: ops.div, scalar: (x, y) => x / y, right: [0.4, 3] },
  maximum: { fn: ops.maximum, scalar: (x, y) => Math.max(x, y), tolerance: "exact" },
  minimum: { fn: ops.minimum, scalar: (x, y) => Math.min(x, y), tolerance: "exact" },
  pow: { fn: ops.pow, scalar: (x, y) => Math.pow(x, y), left: [0.3, 3], right: [-2.4, 2.4], tolerance: "function" },
};

const PAIRS: readonly (readonly [Shape, Shape])[] = [
  [[], []],
  [[3, 5], [3, 5]],
  [[3, 1], [1, 5]],
  [[7], [2, 3, 7]],
  [[67], []],
  [[1], [0]],
  [[2, 0], [1, 1]],
];

const broadcasted = (scalar: (x: number, y: number) => number) => (x: NdArray, y: NdArray) =>
  build(broadcastShapes(x.shape, y.shape), (index) => scalar(at(x, index), at(y, index)));

const binaryCases = Object.entries(BINARY).flatMap((
  [op, { fn, scalar, left = [-2, 2], right = [-1.9, 2.1], tolerance }],
) =>
  PAIRS.map(([lhs, rhs], i) =>
    opCase(op, [distinct(lhs, ...left, i + 1), distinct(rhs, ...right, i + 50)], fn, {
      expected: broadcasted(scalar),
      tolerance,
    })
  )
);

const INTEGER_OPS: Readonly<Record<string, (x: bigint, y: bigint) => bigint>> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  maximum: (x, y) => (x > y ? x : y),
  minimum: (x, y) => (x < y ? x : y),
};

const integerCases = Object.entries(INTEGER_OPS).flatMap(([op, exact]) => [
  opCase(
    op,
    [array([6], [-7, 7, 2147483647, -2147483648, 123456789, 5], "i32"), array([6], [2, -2, 3, 7, 987654321, 1], "i32")],
    BINARY[op].fn,
    {
      expected: broadcasted((x, y) => Number(BigInt.asIntN(32, exact(BigInt(x), BigInt(y))))),
      tolerance: "exact",
    },
  ),
  opCase(
    op,
    [array([5], [7, 4294967295, 4000000000, 123456789, 0], "u32"), array([5], [2, 2, 4000000001, 987654321, 3], "u32")],
    BINARY[op].fn,
    {
      expected: broadcasted((x, y) => Number(BigInt.asUintN(32, exact(BigInt(x), BigInt(y))))),
      tolerance: "exact",
    },
  ),
]);

const x35 = random([3, 5], 0.3, 2, 3);
const powers: OpCase[] = [
  opCase("pow", [array([6], [-2, -2, -3, -2, 0, 0]), array([6], [2, 3, -1, 0, 0, 2])], ops.pow, {
    name: "of negative bases and 0",
    expected: () => [4, -8, -1 / 3, 1, 1, 0],
    tolerance: "function",
    differentiable: [0],
  }),
  opCase("pow", [array([3], [-2, 0, 0]), array([3], [0.5, -1, 0.5])], ops.pow, {
    name: "outside the domain",
    expected: () => [NaN, Infinity, 0],
    tolerance: "function",
    differentiable: [],
  }),
  ...[-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 7, 2.5].map((exponent) =>
    opCase("pow", [x35], (x) => ops.pow(x, exponent), {
      name: `to the number ${exponent}`,
      expected: mapped((x) => x ** exponent),
      tolerance: "function",
    })
  ),
  opCase("pow", [array([3], [-3, 0, 5], "i32")], (x) => ops.pow(x, 3), {
    expected: mapped((x) => x ** 3),
    tolerance: "exact",
  }),
  opCase("pow", [x35], (x) => ops.pow(2, x), {
    name: "of a number",
    expected: mapped((x) => 2 ** x),
    tolerance: "function",
  }),
];

const numberOperands: OpCase[] = [
  opCase("add", [x35], (x) => ops.add(x, 1.5), { name: "a number", expected: mapped((x) => x + 1.5) }),
  opCase("sub", [x35], (x) => ops.sub(1.5, x), { name: "from a number", expected: mapped((x) => 1.5 - x) }),
  opCase("mul", [array([3], [1, 2, 3], "i32")], (x) => ops.mul(x, -2), {
    name: "a number",
    expected: mapped((x) => x * -2),
    tolerance: "exact",
  }),
  opCase("div", [x35], (x) => ops.div(2, x), { name: "a number", expected: mapped((x) => 2 / x) }),
  opCase("maximum", [x35], (x) => ops.maximum(x, 1), {
    name: "a number",
    expected: mapped((x) => Math.max(x, 1)),
    tolerance: "exact",
  }),
];

type Comparison = (x: Tensor, y: Tensor) => Tensor;
const COMPARISONS: Readonly<Record<string, readonly [Comparison, (x: number, y: number) => boolean]>> = {
  equal: [ops.equal, (x, y) => x === y],
  notEqual: [ops.notEqual, (x, y) => x !== y],
  less: [ops.less, (x, y) => x < y],
  lessEqual: [ops.lessEqual, (x, y) => x <= y],
  greater: [ops.greater, (x, y) => x > y],
  greaterEqual: [ops.greaterEqual, (x, y) => x >= y],
};

const exactly = (scalar: (x: number, y: number) => boolean): CaseOptions => ({
  expected: broadcasted((x, y) => Number(scalar(x, y))),
  tolerance: "exact",
  differentiable: [],
});

const comparisonCases = Object.entries(COMPARISONS).flatMap(([op, [fn, holds]]) => [
  opCase(op, [array([3, 1], [-1, 0, 2]), array([5], [-1, -0.5, 0, 1, 2])], fn, exactly(holds)),
  opCase(op, [integers([67], -3, 3), integers([67], -3, 3, "i32", 2)], fn, exactly(holds)),
  opCase(op, [array([3], [0, 7, 4294967295], "u32"), array([3], [4294967295, 7, 1], "u32")], fn, exactly(holds)),
  opCase(op, [array([], [1]), array([], [1])], fn, exactly(holds)),
  opCase(op, [array([0], []), array([1], [1])], fn, exactly(holds)),
]);

const bools = [array([4], [0, 0, 1, 1], "bool"), array([4], [0, 1, 0, 1], "bool")];
const logicCases: OpCase[] = [
  opCase("equal", bools, ops.equal, exactly((x, y) => x === y)),
  opCase("notEqual", bools, ops.notEqual, exactly((x, y) => x !== y)),
  opCase("logicalAnd", bools, ops.logicalAnd, exactly((x, y) => x !== 0 && y !== 0)),
  opCase(
    "logicalAnd",
    [array([2, 1], [0, 1], "bool"), array([3], [1, 0, 1], "bool")],
    ops.logicalAnd,
    exactly((x, y) => x !== 0 && y !== 0),
  ),
  opCase("logicalOr", bools, ops.logicalOr, exactly((x, y) => x !== 0 || y !== 0)),
  opCase("logicalNot", [bools[1]], ops.logicalNot, { expected: mapped((x) => 1 - x), tolerance: "exact" }),
  opCase("logicalNot", [array([], [1], "bool")], ops.logicalNot, { expected: () => [0], tolerance: "exact" }),
];

const mask = array([3, 5], build([3, 5], ([i, j]) => (i * 5 + j) % 3 === 0 ? 1 : 0), "bool");
const choose = (cond: NdArray, x: NdArray, y: NdArray) =>
  build(
    broadcastShapes(broadcastShapes(cond.shape, x.shape), y.shape),
    (index) => at(cond, index) ? at(x, index) : at(y, index),
  );
const choiceCases: OpCase[] = [
  opCase("where", [mask, random([3, 5], -2, 2, 5), random([3, 5], -2, 2, 6)], ops.where, {
    expected: choose,
    tolerance: "exact",
  }),
  opCase("where", [array([3, 1], [1, 0, 1], "bool"), random([5], -2, 2, 5), random([], -2, 2, 6)], ops.where, {
    expected: choose,
    tolerance: "exact",
  }),
  opCase("where", [mask, random([3, 5], -2, 2, 5)], (cond, x) => ops.where(cond, x, -1), {
    name: "a number",
    expected: (cond, x) => choose(cond, x, array([], [-1])),
    tolerance: "exact",
  }),
  opCase("where", [array([], [0], "bool"), array([], [4], "i32"), array([], [5], "i32")], ops.where, {
    expected: () => [5],
    tolerance: "exact",
  }),
  opCase("where", [array([2], [0, 1], "bool"), array([2], [0, 1], "bool"), array([2], [1, 0], "bool")], ops.where, {
    expected: () => [1, 1],
    tolerance: "exact",
  }),
  opCase("where", [array([0], [], "bool"), random([0])], (cond, x) => ops.where(cond, x, 0), {
    expected: () => [],
    tolerance: "exact",
  }),
  ...castCases(),
  opCase("stopGradient", [x35], (x) => ops.stopGradient(x), {
    expected: (x) => x.data,
    tolerance: "exact",
    differentiable: [],
  }),
  opCase("stopGradient", [x35], (x) => ops.mul(x, ops.stopGradient(ops.exp(ops.zerosLike(x)))), {
    name: "of what does not depend on it",
    expected: (x) => x.data,
    tolerance: "function",
  }),
];

function castCases(): OpCase[] {
  const floats = array([7], [-2.7, -1, -0.3, 0, 0.9, 1.5, 100.25]), positive = array([4], [0, 0.9, 7.5, 100]);
  const cast = (x: NdArray, to: "f32" | "i32" | "u32" | "bool", scalar: (x: number) => number) =>
    opCase("cast", [x], (t) => ops.cast(t, to), {
      name: `to ${to}`,
      expected: mapped((value) => scalar(value) + 0),
      tolerance: "exact",
      differentiable: [],
    });
  return [
    cast(floats, "i32", Math.trunc),
    cast(floats, "bool", (x) => Number(x !== 0)),
    cast(positive, "u32", Math.trunc),
    cast(array([3], [-5, 0, 7], "i32"), "f32", (x) => x),
    cast(array([3], [-5, 0, 7], "i32"), "u32", (x) => x >>> 0),
    cast(array([3], [-5, 0, 7], "i32"), "bool", (x) => Number(x !== 0)),
    cast(array([3], [0, 7, 4294967295], "u32"), "i32", (x) => x | 0),
    cast(array([3], [0, 7, 16777216], "u32"), "f32", (x) => x),
    cast(array([2], [0, 1], "bool"), "f32", (x) => x),
    cast(array([2], [0, 1], "bool"), "i32", (x) => x),
    cast(array([2], [0, 1], "bool"), "u32", (x) => x),
    cast(array([], [1.5]), "i32", Math.trunc),
    cast(array([0], []), "i32", Math.trunc),
    opCase("cast", [random([7])], (x) => ops.mul(x, ops.cast(ops.greater(x, 0), "f32")), {
      name: "of a comparison",
      expected: mapped((x) => x > 0 ? x : -0),
      tolerance: "exact",
      differentiable: [0],
    }),
  ];
}

/** All of them. */
export const ELEMENTWISE_CASES: readonly OpCase[] = [
  ...unaryCases,
  ...extremeCases,
  ...binaryCases,
  ...integerCases,
  ...powers,
  ...numberOperands,
  ...comparisonCases,
  ...logicCases,
  ...choiceCases,
];
