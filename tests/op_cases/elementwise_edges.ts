/** Cases of elementwise ops at the places that are theirs: halves, bounds, what is next to 0, and signs. */
import type { NdArray } from "../../core/op.ts";
import { broadcastShapes } from "../../core/shape.ts";
import * as ops from "../../ops/mod.ts";
import { array, at, build, distinct, random } from "../numeric.ts";
import { type CaseOptions, type OpCase, opCase } from "./op_case.ts";

const mapped = (scalar: (x: number) => number) => (x: NdArray) => x.data.map(scalar);
const broadcasted = (scalar: (x: number, y: number) => number) => (x: NdArray, y: NdArray) =>
  build(broadcastShapes(x.shape, y.shape), (index) => scalar(at(x, index), at(y, index)));

const halves = array([11], [-2.5, -1.5, -0.5, -0.4, 0, 0.49999997, 0.5, 1.5, 2.5, 8388607.5, 2 ** 100]);
const tiny = array([6], [-1e-3, -1e-7, -1e-20, 1e-20, 1e-7, 1e-3]);
const odd = array([7], [NaN, Infinity, -Infinity, 0, -1, 3e38, 1e-30]);
const flags = (holds: (x: number) => boolean): CaseOptions => ({
  expected: mapped((x) => Number(holds(x))),
  tolerance: "exact",
  differentiable: [],
});
const roundingCases: OpCase[] = [
  opCase("round", [halves], ops.round, {
    name: "of halves",
    expected: () => [-2, -2, -0, -0, 0, 0, 0, 2, 2, 8388608, 2 ** 100],
    tolerance: "exact",
    differentiable: [],
  }),
  opCase("log1p", [tiny], (x) => ops.div(ops.log1p(x), x), {
    name: "over x, near 0",
    expected: mapped((x) => Math.log1p(x) / x),
    tolerance: "arithmetic",
    differentiable: [],
    golden: true,
  }),
  opCase("expm1", [tiny], (x) => ops.div(ops.expm1(x), x), {
    name: "over x, near 0",
    expected: mapped((x) => Math.expm1(x) / x),
    tolerance: "arithmetic",
    differentiable: [],
    golden: true,
  }),
  opCase("isNaN", [odd], ops.isNaN, flags(Number.isNaN)),
  opCase("isNaN", [array([], [NaN])], ops.isNaN, flags(Number.isNaN)),
  opCase("isFinite", [odd], ops.isFinite, flags(Number.isFinite)),
  opCase("isFinite", [random([0, 3])], ops.isFinite, flags(Number.isFinite)),
  ...[[], [67]].map((shape) =>
    opCase("clip", [distinct(shape, -2, 2)], (x) => ops.clip(x, -0.75, 1), {
      expected: mapped((x) => Math.min(Math.max(x, -0.75), 1)),
      tolerance: "exact",
    })
  ),
  opCase("clip", [distinct([3, 5]), distinct([5], -1, 0, 2), distinct([3, 1], 0.1, 1.2, 3)], ops.clip, {
    name: "between tensors",
    expected: (x, low, high) =>
      build(x.shape, (index) => Math.min(Math.max(at(x, index), at(low, index)), at(high, index))),
    tolerance: "exact",
  }),
  opCase("clip", [array([3], [-7, 0, 7], "i32")], (x) => ops.clip(x, -2, 2), {
    expected: () => [-2, 0, 2],
    tolerance: "exact",
  }),
];

const floorMod = (x: number, y: number) => x - y * Math.floor(x / y);
const moduloCases: OpCase[] = [
  opCase("mod", [distinct([3, 1, 7], -5, 5), distinct([5, 1], 0.9, 2.1, 2)], ops.mod, {
    expected: broadcasted(floorMod),
    tolerance: "arithmetic",
  }),
  opCase("mod", [array([8], [5, -5, 5, -5, 6, -6, 0.5, -0.5]), array([8], [3, 3, -3, -3, 3, 3, 3, 3])], ops.mod, {
    name: "by sign",
    expected: () => [2, 1, -1, -2, 0, 0, 0.5, 2.5],
    tolerance: "exact",
    differentiable: [],
    golden: true,
  }),
  opCase("mod", [array([4], [3, -3, Infinity, 2]), array([4], [Infinity, Infinity, 2, 0])], ops.mod, {
    name: "at the edges",
    expected: () => [3, Infinity, NaN, NaN],
    tolerance: "exact",
    differentiable: [],
  }),
  opCase("mod", [random([]), array([], [0.7])], ops.mod, { expected: broadcasted(floorMod) }),
  opCase("mod", [random([0]), array([1], [2])], ops.mod, { expected: () => [] }),
  opCase(
    "mod",
    [array([6], [7, -7, 7, -7, 5, -2147483648], "i32"), array([6], [4, 4, -4, -4, 0, -1], "i32")],
    ops.mod,
    {
      expected: () => [3, 1, -1, -3, 0, 0],
      tolerance: "exact",
    },
  ),
  opCase("mod", [array([3], [7, 4294967295, 5], "u32"), array([3], [4, 10, 0], "u32")], ops.mod, {
    expected: () => [3, 5, 0],
    tolerance: "exact",
  }),
];

/** All of them. */
export const EDGE_CASES: readonly OpCase[] = [...roundingCases, ...moduloCases];
