/** Cases of losses beside plain cross-entropy. */
import type { NdArray } from "../../core/op.ts";
import * as ops from "../../ops/mod.ts";
import { array, integers, random } from "../numeric.ts";
import { type OpCase, opCase } from "./op_case.ts";

const total = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0);
const mean = (values: ArrayLike<number>) => total(values) / values.length;

const x35 = random([3, 5], -2, 2, 1), y35 = random([3, 5], -2, 2, 2), x67 = random([67], -3, 3, 3);
const each = (x: NdArray, y: NdArray, loss: (x: number, y: number) => number): number[] =>
  Array.from(x.data, (value, i) => loss(value, y.data[i % y.data.length]));
const square = (x: number, y: number) => (x - y) ** 2;
const huber = (delta: number) => (x: number, y: number) => {
  const size = Math.abs(x - y);
  return size <= delta ? size * size / 2 : delta * (size - delta / 2);
};
const binary = (x: number, y: number) => {
  const p = 1 / (1 + Math.exp(-x));
  return -(y * Math.log(p) + (1 - y) * Math.log(1 - p));
};
const probabilities = random([67], 0, 1, 5), variances = random([3, 5], 0.2, 3, 6);
const gaussian = (x: NdArray, y: NdArray, v: NdArray): number[] =>
  Array.from(x.data, (value, i) => (Math.log(v.data[i]) + (y.data[i] - value) ** 2 / v.data[i]) / 2);

const elementCases: OpCase[] = [
  opCase("mse", [x35, y35], (x, y) => ops.mse(x, y), {
    expected: (x, y) => [mean(each(x, y, square))],
    tolerance: "accumulation",
  }),
  opCase("mse", [x35, random([5], -1, 1, 4)], (x, y) => ops.mse(x, y, { reduction: "sum" }), {
    name: "sum, with broadcast targets",
    expected: (x, y) => [total(each(x, y, square))],
    tolerance: "accumulation",
  }),
  opCase("mse", [random([0, 5]), random([5])], (x, y) => ops.mse(x, y), { name: "of nothing", expected: () => [0] }),
  opCase("huber", [x67, random([67], -1, 1, 4)], (x, y) => ops.huber(x, y), {
    expected: (x, y) => [mean(each(x, y, huber(1)))],
    tolerance: "accumulation",
  }),
  opCase("huber", [array([], [7]), array([], [1])], (x, y) => ops.huber(x, y, { delta: 0.5, reduction: "none" }), {
    name: "of one",
    expected: (x, y) => each(x, y, huber(0.5)),
  }),
  opCase(
    "huber",
    [array([3], [1e30, -1e30, 0.5]), array([3], [0, 0, 0.5])],
    (x, y) => ops.huber(x, y, { reduction: "none" }),
    {
      name: "far out",
      expected: () => [1e30, 1e30, 0],
      differentiable: [],
    },
  ),
  opCase("binaryCrossEntropy", [x67, probabilities], (x, y) => ops.binaryCrossEntropy(x, y), {
    expected: (x, y) => [mean(each(x, y, binary))],
    tolerance: "function",
    golden: true,
  }),
  opCase(
    "binaryCrossEntropy",
    [array([4], [-1000, 1000, 1000, 0]), array([4], [0, 1, 0, 1])],
    (x, y) => ops.binaryCrossEntropy(x, y, { reduction: "none" }),
    {
      name: "far out",
      expected: () => [0, 0, 1000, Math.LN2],
      tolerance: "function",
    },
  ),
  opCase("gaussianNll", [x35, y35, variances], (x, y, v) => ops.gaussianNll(x, y, v), {
    expected: (x, y, v) => [mean(gaussian(x, y, v))],
    tolerance: "function",
  }),
  opCase(
    "gaussianNll",
    [x35, y35, array([], [0])],
    (x, y, v) => ops.gaussianNll(x, y, v, { epsilon: 0.25, full: true, reduction: "none" }),
    {
      name: "of a variance below the least, as a density",
      expected: (x, y) => each(x, y, (a, b) => (Math.log(0.25) + square(a, b) / 0.25 + Math.log(2 * Math.PI)) / 2),
      tolerance: "function",
    },
  ),
];

const logits = random([3, 5, 7], -3, 3), targets = integers([3, 5], 0, 7);
const smoothed = (x: NdArray, t: NdArray, share: number): number[] =>
  Array.from(t.data, (target, i) => {
    const row = [...x.data.subarray(7 * i, 7 * i + 7)], log = Math.log(total(row.map(Math.exp)));
    return total(row.map((value, c) => (log - value) * ((c === target ? 1 - share : 0) + share / 7)));
  });
const smoothingCases: OpCase[] = [
  opCase("crossEntropy", [logits, targets], (x, t) => ops.crossEntropy(x, t, { labelSmoothing: 0.1 }), {
    name: "smoothed",
    expected: (x, t) => [mean(smoothed(x, t, 0.1))],
    tolerance: "function",
  }),
  opCase(
    "crossEntropy",
    [logits, targets],
    (x, t) => ops.crossEntropy(x, t, { labelSmoothing: 0.3, ignoreIndex: 3, reduction: "none" }),
    {
      name: "smoothed, ignoring, one by one",
      expected: (x, t) => smoothed(x, t, 0.3).map((loss, i) => t.data[i] === 3 ? 0 : loss),
      tolerance: "function",
      differentiable: [],
    },
  ),
];

/** All of them. */
export const LOSS_CASES: readonly OpCase[] = [...elementCases, ...smoothingCases];
