/** Cases of variance, products, truth and the least of rows. */
import type { Shape } from "../../core/shape.ts";
import * as ops from "../../ops/mod.ts";
import { array, distinct, integers, random } from "../numeric.ts";
import { groups } from "./groups.ts";
import { type OpCase, opCase } from "./op_case.ts";

const exact = { tolerance: "exact" } as const;
const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
const meanOf = (values: readonly number[]) => total(values) / values.length;
const squares = (values: readonly number[]) => total(values.map((value) => (value - meanOf(values)) ** 2));
const product = (values: readonly number[]) => values.reduce((all, value) => all * value, 1);
const bits = (shape: Shape, seed: number) => integers(shape, 0, 2, "bool", seed);
const offset = array([2, 5], [1001, 1002, 1003, 1004.5, 1000, -4000, -4001, -4002.5, -4001, -4003]);
/** All of them. */
export const STATISTICS_CASES: readonly OpCase[] = [
  opCase("variance", [random([3, 5])], (x) => ops.variance(x), {
    expected: (x) => [squares([...x.data]) / 15],
    tolerance: "accumulation",
  }),
  opCase("variance", [random([2, 3, 67])], (x) => ops.variance(x, { axes: [0, 2], keepDims: true, ddof: 1 }), {
    name: "of samples",
    differentiable: [],
    expected: (x) => groups(x, [0, 2]).map((values) => squares(values) / (values.length - 1)),
    tolerance: "accumulation",
  }),
  opCase("variance", [offset], (x) => ops.variance(x, { axis: 1 }), {
    name: "far from 0",
    expected: (x) => groups(x, 1).map((values) => squares(values) / 5),
    tolerance: "accumulation",
    differentiable: [],
  }),
  opCase("variance", [random([3, 0])], (x) => ops.variance(x, { axis: 1 }), {
    name: "of nothing",
    expected: () => [NaN, NaN, NaN],
    differentiable: [],
  }),
  opCase("variance", [array([], [2])], (x) => ops.variance(x, { ddof: 1 }), {
    name: "of one sample",
    expected: () => [NaN],
    differentiable: [],
  }),
  opCase("prod", [distinct([3, 11], -1.5, 1.6)], (x) => ops.prod(x, { axis: -1 }), {
    expected: (x) => groups(x, 1).map(product),
    tolerance: "accumulation",
  }),
  opCase("prod", [distinct([7, 2, 3], 0.4, 1.5)], (x) => ops.prod(x, { axes: [0, 2], keepDims: true }), {
    name: "kept",
    differentiable: [],
    expected: (x) => groups(x, [0, 2]).map(product),
    tolerance: "accumulation",
  }),
  opCase("prod", [array([3, 3], [2, 0, 3, 0, 0, 4, 1, 2, 3])], (x) => ops.prod(x, { axis: 1 }), {
    name: "with zeros",
    expected: () => [0, 0, 6],
    ...exact,
  }),
  opCase("prod", [integers([5, 67], -3, 4)], (x) => ops.prod(x, { axis: 1 }), {
    name: "that wraps",
    expected: (x) => groups(x, 1).map((values) => values.reduce((all, value) => Math.imul(all, value), 1)),
    ...exact,
  }),
  opCase("prod", [random([2, 0])], (x) => ops.prod(x, { axis: 1 }), {
    name: "of nothing",
    expected: () => [1, 1],
    ...exact,
  }),
  opCase("prod", [array([], [-3])], (x) => ops.prod(x), { expected: () => [-3], ...exact }),
  ...(["any", "all"] as const).flatMap((op) => {
    const holds = (values: readonly number[]) =>
      Number(op === "any" ? values.some((value) => value !== 0) : values.every((value) => value !== 0));
    return [
      opCase(op, [bits([7, 2], 3)], (x) => ops[op](x, { axis: 1 }), {
        expected: (x) => groups(x, 1).map(holds),
        ...exact,
      }),
      opCase(op, [random([3, 67], -2, op === "any" ? 0.01 : 70)], (x) => ops[op](ops.greater(x, -0.01)), {
        name: "of a comparison",
        expected: (x) => [holds(Array.from(x.data, (value) => Number(value > -0.01)))],
        differentiable: [],
        ...exact,
      }),
      opCase(op, [bits([2, 0], 1)], (x) => ops[op](x, { axis: 1, keepDims: true }), {
        name: "of nothing",
        expected: () => [holds([]), holds([])],
        ...exact,
      }),
    ];
  }),
  opCase("argmin", [array([3, 4], [1, 0, 3, 0, 5, NaN, 2, NaN, 0, -0, 0, 7])], (x) => ops.argmin(x, { axis: 1 }), {
    name: "of ties and NaN",
    expected: () => [1, 1, 0],
    differentiable: [],
    ...exact,
  }),
  opCase("argmin", [array([5], [3, -2147483648, 7, -2147483648, 2147483647], "i32")], (x) => ops.argmin(x), {
    expected: () => [1],
    ...exact,
  }),
  opCase(
    "argmin",
    [array([2, 3], [4294967295, 0, 5, 7, 4294967295, 8], "u32")],
    (x) => ops.argmin(x, { axis: 1, keepDims: true }),
    { expected: () => [1, 0], ...exact },
  ),
];
