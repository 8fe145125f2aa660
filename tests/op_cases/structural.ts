/** Cases of sources, reductions and views. */
import { barrier } from "../../core/barrier.ts";
import type { NdArray } from "../../core/op.ts";
import type { Shape } from "../../core/shape.ts";
import * as ops from "../../ops/mod.ts";
import { array, at, build, distinct, integers, random } from "../numeric.ts";
import { groups } from "./groups.ts";
import { type OpCase, opCase } from "./op_case.ts";

const exact = { tolerance: "exact" } as const;

const sourceCases: OpCase[] = [
  opCase("iota", [], () => ops.iota([3, 5], 1), {
    name: "along columns",
    expected: () => build([3, 5], ([, j]) => j),
    ...exact,
  }),
  opCase("iota", [], () => ops.iota([3, 5], 0, "f32"), {
    name: "along rows, f32",
    expected: () => build([3, 5], ([i]) => i),
    ...exact,
  }),
  opCase("iota", [], () => ops.iota([2, 3, 7], -2, "u32"), {
    name: "in the middle, u32",
    expected: () => build([2, 3, 7], ([, j]) => j),
    ...exact,
  }),
  opCase("iota", [], () => ops.iota([0], 0), { name: "of nothing", expected: () => [], ...exact }),
  opCase("arange", [], () => ops.arange(67), { name: "i32", expected: () => build([67], ([i]) => i), ...exact }),
  opCase("arange", [], () => ops.arange(1, "f32"), { name: "of one", expected: () => [0], ...exact }),
  opCase("full", [], () => ops.full([3, 5], 2.5), { name: "f32", expected: () => new Array(15).fill(2.5), ...exact }),
  opCase("full", [], () => ops.full([], -3, "i32"), { name: "scalar", expected: () => [-3], ...exact }),
  opCase("full", [], () => ops.full([2], 1, "bool"), { name: "bool", expected: () => [1, 1], ...exact }),
  opCase("full", [], () => ops.full([0, 3], 1), { name: "of nothing", expected: () => [], ...exact }),
  opCase("zeros", [], () => ops.zeros([2, 3]), { name: "f32", expected: () => new Array(6).fill(0), ...exact }),
  opCase("ones", [], () => ops.ones([7], "u32"), { name: "u32", expected: () => new Array(7).fill(1), ...exact }),
  opCase("zerosLike", [random([3, 5])], (x) => ops.add(x, ops.zerosLike(x)), { expected: (x) => x.data, ...exact }),
  opCase("onesLike", [random([3, 5])], (x) => ops.mul(x, ops.onesLike(x)), { expected: (x) => x.data, ...exact }),
  opCase("constant", [], () => ops.constant([1.5, -2, 0.25, 3, 5, 7], [2, 3]), {
    name: "f32",
    expected: () => [1.5, -2, 0.25, 3, 5, 7],
    ...exact,
  }),
  opCase("constant", [], () => ops.constant(new Int32Array([-1, 2])), {
    name: "f32 by default",
    expected: () => [-1, 2],
    ...exact,
  }),
  opCase("constant", [], () => ops.constant([7], [], "i32"), { name: "scalar", expected: () => [7], ...exact }),
  opCase("constant", [], () => ops.constant([1, 0, 1], [3], "bool"), {
    name: "bool",
    expected: () => [1, 0, 1],
    ...exact,
  }),
  opCase("constant", [random([3])], (x) => ops.mul(x, ops.constant([2, 3, 5])), {
    name: "as a factor",
    expected: (x) => x.data.map((v, i) => v * [2, 3, 5][i]),
  }),
];

const REDUCTIONS: readonly {
  readonly shape: Shape;
  readonly axes?: number | readonly number[];
  readonly keepDims?: boolean;
}[] = [
  { shape: [] },
  { shape: [1] },
  { shape: [67] },
  { shape: [3, 5] },
  { shape: [3, 5], axes: 0 },
  { shape: [3, 5], axes: -1, keepDims: true },
  { shape: [2, 3, 7], axes: [0, 2] },
  { shape: [2, 3, 7], axes: 1 },
  { shape: [1, 7, 1], axes: [0, 2], keepDims: true },
  { shape: [0, 5], axes: 1 },
];

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
const reduceCases = REDUCTIONS.flatMap(({ shape, axes, keepDims }, i) => {
  const x = distinct(shape, -2, 2, i + 1);
  const name = `over ${axes === undefined ? "all" : `[${[axes].flat()}]`}${keepDims ? ", kept" : ""}`;
  const isEmpty = groups(x, axes).some((group) => group.length === 0);
  const options = { axes, keepDims };
  const over = (combine: (values: readonly number[]) => number) => ({
    name,
    expected: (x: NdArray) => groups(x, axes).map(combine),
  });
  return [
    opCase("sum", [x], (x) => ops.sum(x, options), { ...over(total), tolerance: "accumulation" }),
    opCase("mean", [x], (x) => ops.mean(x, options), {
      ...over((values) => total(values) / values.length),
      tolerance: "accumulation",
    }),
    ...(isEmpty ? [] : [
      opCase("max", [x], (x) => ops.max(x, options), { ...over((values) => Math.max(...values)), ...exact }),
      opCase("min", [x], (x) => ops.min(x, options), { ...over((values) => Math.min(...values)), ...exact }),
    ]),
  ];
});

const firstBest = (values: readonly number[]) => values.indexOf(Math.max(...values));
const moreReduceCases: OpCase[] = [
  opCase("sum", [random([3, 0])], (x) => ops.sum(x, { axes: 1 }), {
    name: "of nothing",
    expected: () => [0, 0, 0],
    ...exact,
  }),
  opCase("sum", [integers([3, 5], -9, 9)], (x) => ops.sum(x, { axes: 1 }), {
    expected: (x) => groups(x, 1).map(total),
    ...exact,
  }),
  opCase("sum", [array([3], [4294967295, 2, 3], "u32")], (x) => ops.sum(x), { expected: () => [4], ...exact }),
  opCase("sum", [random([5, 259])], (x) => ops.sum(x, { axes: 1 }), {
    name: "long rows",
    expected: (x) => groups(x, 1).map(total),
    tolerance: "accumulation",
  }),
  opCase("sum", [random([259, 5])], (x) => ops.sum(x, { axes: 0 }), {
    name: "long columns",
    expected: (x) => groups(x, 0).map(total),
    tolerance: "accumulation",
  }),
  opCase("max", [integers([3, 5], -9, 9)], (x) => ops.max(x, { axes: 0 }), {
    expected: (x) => groups(x, 0).map((v) => Math.max(...v)),
    ...exact,
  }),
  opCase("min", [integers([3, 5], 0, 9, "u32")], (x) => ops.min(x, { axes: 0 }), {
    expected: (x) => groups(x, 0).map((v) => Math.min(...v)),
    ...exact,
  }),
  opCase("argmax", [distinct([3, 5])], (x) => ops.argmax(x, { axis: 1 }), {
    expected: (x) => groups(x, 1).map(firstBest),
    differentiable: [],
    ...exact,
  }),
  opCase("argmax", [distinct([2, 7, 3])], (x) => ops.argmax(x, { axis: -2, keepDims: true }), {
    name: "kept",
    expected: (x) => groups(x, 1).map(firstBest),
    differentiable: [],
    ...exact,
  }),
  opCase("argmax", [array([2, 4], [1, 3, 3, 0, -1, -1, -1, -1])], (x) => ops.argmax(x, { axis: 1 }), {
    name: "of ties",
    expected: () => [1, 0],
    differentiable: [],
    ...exact,
  }),
  opCase("argmax", [integers([67], -99, 99)], (x) => ops.argmax(x), {
    name: "of all",
    expected: (x) => [firstBest([...x.data])],
    differentiable: [],
    ...exact,
  }),
  opCase("argmax", [array([], [2])], (x) => ops.argmax(x), {
    name: "of one",
    expected: () => [0],
    differentiable: [],
    ...exact,
  }),
];

const x237 = random([2, 3, 7]), x35 = random([3, 5]);
const viewCases: OpCase[] = [
  opCase("reshape", [x237], (x) => ops.reshape(x, [6, 7]), { name: "to a matrix", expected: (x) => x.data, ...exact }),
  opCase("reshape", [x237], (x) => ops.reshape(x, [-1]), { name: "flat", expected: (x) => x.data, ...exact }),
  opCase("reshape", [array([], [3])], (x) => ops.reshape(x, [1, 1]), {
    name: "of a scalar",
    expected: (x) => x.data,
    ...exact,
  }),
  opCase("reshape", [array([0, 3], [])], (x) => ops.reshape(x, [3, 0, 2]), {
    name: "of nothing",
    expected: () => [],
    ...exact,
  }),
  opCase("reshape", [x237], (x) => ops.reshape(ops.transpose(x, [1, 0, 2]), [3, 14]), {
    name: "of a transpose",
    expected: (x) => build([3, 14], ([i, j]) => at(x, [Math.floor(j / 7), i, j % 7])),
    ...exact,
  }),
  opCase("transpose", [x35], (x) => ops.transpose(x), {
    name: "of a matrix",
    expected: (x) => build([5, 3], ([i, j]) => at(x, [j, i])),
    ...exact,
    golden: true,
  }),
  opCase("transpose", [x237], (x) => ops.transpose(x, [2, 0, 1]), {
    name: "by axes",
    expected: (x) => build([7, 2, 3], ([i, j, k]) => at(x, [j, k, i])),
    ...exact,
  }),
  opCase("transpose", [x237], (x) => ops.transpose(x, [-1, 1, 0]), {
    name: "by negative axes",
    expected: (x) => build([7, 3, 2], ([i, j, k]) => at(x, [k, j, i])),
    ...exact,
  }),
  // Where all extents are equal a shape does not tell a permutation from its inverse.
  opCase("transpose", [random([3, 3, 3])], (x) => ops.transpose(x, [1, 2, 0]), {
    name: "of a cube",
    expected: (x) => build([3, 3, 3], ([i, j, k]) => at(x, [k, i, j])),
    ...exact,
  }),
  opCase("transpose", [array([0, 3], [])], (x) => ops.transpose(x), {
    name: "of nothing",
    expected: () => [],
    ...exact,
  }),
  opCase("swapAxes", [x237], (x) => ops.swapAxes(x, 0, -1), {
    expected: (x) => build([7, 3, 2], ([i, j, k]) => at(x, [k, j, i])),
    ...exact,
  }),
  opCase("expandDims", [x35], (x) => ops.expandDims(x, 1), { expected: (x) => x.data, ...exact }),
  opCase("expandDims", [x35], (x) => ops.expandDims(x, -1), { name: "at the end", expected: (x) => x.data, ...exact }),
  opCase("squeeze", [random([3, 1, 5, 1])], (x) => ops.squeeze(x, [1, -1]), { expected: (x) => x.data, ...exact }),
  opCase("flip", [x237], (x) => ops.flip(x, [0, 2]), {
    name: "two axes",
    expected: (x) => build([2, 3, 7], ([i, j, k]) => at(x, [1 - i, j, 6 - k])),
    ...exact,
  }),
  opCase("flip", [x35], (x) => ops.flip(x), { name: "all axes", expected: (x) => [...x.data].reverse(), ...exact }),
  opCase("flip", [array([0, 3], [])], (x) => ops.flip(x, 0), { name: "of nothing", expected: () => [], ...exact }),
  opCase("flip", [array([1], [3])], (x) => ops.flip(x), { name: "of one", expected: () => [3], ...exact }),
  opCase("broadcastTo", [random([3, 1])], (x) => ops.broadcastTo(x, [2, 3, 5]), {
    expected: (x) => build([2, 3, 5], (index) => at(x, index)),
    ...exact,
  }),
  opCase("broadcastTo", [array([], [3])], (x) => ops.broadcastTo(x, [7]), {
    name: "a scalar",
    expected: () => new Array(7).fill(3),
    ...exact,
  }),
  opCase("broadcastTo", [random([1, 5])], (x) => ops.broadcastTo(x, [0, 5]), {
    name: "to nothing",
    expected: () => [],
    ...exact,
  }),
  opCase("slice", [x237], (x) => ops.slice(x, [1, 0, 2], [1, 2, 3]), {
    expected: (x) => build([1, 2, 3], ([i, j, k]) => at(x, [i + 1, j, k + 2])),
    ...exact,
  }),
  opCase("slice", [x35], (x) => ops.slice(x, [1, 2], [0, 3]), { name: "of nothing", expected: () => [], ...exact }),
  opCase("sliceAxis", [x237], (x) => ops.sliceAxis(x, -1, 3, 4), {
    expected: (x) => build([2, 3, 4], ([i, j, k]) => at(x, [i, j, k + 3])),
    ...exact,
  }),
  opCase("split", [x35], (x) => ops.concat(ops.split(x, [2, 0, 3], 1).reverse(), 1), {
    name: "and joined the other way",
    expected: (x) => build([3, 5], ([i, j]) => at(x, [i, (j + 2) % 5])),
    ...exact,
  }),
  opCase("pad", [x35], (x) => ops.pad(x, [[1, 0], [2, 3]]), {
    expected: (x) => build([4, 10], ([i, j]) => i >= 1 && j >= 2 && j < 7 ? at(x, [i - 1, j - 2]) : 0),
    ...exact,
    golden: true,
  }),
  opCase("pad", [x35], (x) => ops.pad(x, [[0, 0], [0, 2]], -1.5), {
    name: "by a value",
    expected: (x) => build([3, 7], ([i, j]) => j < 5 ? at(x, [i, j]) : -1.5),
    ...exact,
  }),
  opCase("pad", [array([0], [])], (x) => ops.pad(x, [[1, 2]], 3), {
    name: "nothing",
    expected: () => [3, 3, 3],
    ...exact,
  }),
  opCase("pad", [array([2], [4, 5], "i32")], (x) => ops.pad(x, [[1, 1]]), { expected: () => [0, 4, 5, 0], ...exact }),
  opCase("concat", [x35, random([3, 2], -2, 2, 2), random([3, 1], -2, 2, 3)], (...parts) => ops.concat(parts, 1), {
    expected: (x, y, z) => build([3, 8], ([i, j]) => j < 5 ? at(x, [i, j]) : j < 7 ? at(y, [i, j - 5]) : at(z, [i, 0])),
    ...exact,
    golden: true,
  }),
  opCase("concat", [random([0, 5]), x35, x35], (...parts) => ops.concat(parts, 0), {
    name: "with nothing",
    expected: (_, x, y) => [...x.data, ...y.data],
    ...exact,
  }),
  opCase("concat", [random([2, 0]), random([1, 0])], (...parts) => ops.concat(parts, 0), {
    name: "of nothing",
    expected: () => [],
    ...exact,
  }),
  opCase("concat", [array([1], [1], "bool"), array([2], [0, 1], "bool")], (...parts) => ops.concat(parts, -1), {
    expected: () => [1, 0, 1],
    ...exact,
  }),
  opCase("stack", [x35, random([3, 5], -2, 2, 2)], (...parts) => ops.stack(parts), {
    expected: (x, y) => [...x.data, ...y.data],
    ...exact,
  }),
  opCase("barrier", [x35, random([7], 1, 2, 3)], (x, after) => barrier(x, ops.exp(after)), {
    expected: (x) => x.data,
    differentiable: [0],
    ...exact,
  }),
  opCase("barrier", [array([0, 3], []), random([2])], barrier, {
    name: "of nothing",
    expected: () => [],
    differentiable: [],
    ...exact,
  }),
  opCase("stack", [array([], [1]), array([], [2])], (...parts) => ops.stack(parts, -1), {
    name: "scalars",
    expected: () => [1, 2],
    ...exact,
  }),
  opCase("stack", [x35, random([3, 5], -2, 2, 2)], (...parts) => ops.stack(parts, 1), {
    name: "in the middle",
    expected: (x, y) => build([3, 2, 5], ([i, which, j]) => at(which === 0 ? x : y, [i, j])),
    ...exact,
  }),
];

/** All of them. */
export const STRUCTURAL_CASES: readonly OpCase[] = [
  ...sourceCases,
  ...reduceCases,
  ...moreReduceCases,

  ...viewCases,
];
