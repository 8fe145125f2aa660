/** Cases of slices at run-time places, of copies and turns, and of triangles. */
import type { Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import * as ops from "../../ops/mod.ts";
import { array, at, build, random } from "../numeric.ts";
import { type OpCase, opCase } from "./op_case.ts";

const exact = { tolerance: "exact" } as const;
const clamp = (start: number, last: number) => Math.min(Math.max(start, 0), last);
const scalar = (value: number, dtype: "i32" | "u32" = "i32") => array([], [value], dtype);

const sliced = (sizes: readonly number[]) => (x: NdArray, starts: NdArray): number[] =>
  build(sizes, (index) => at(x, index.map((i, axis) => i + clamp(starts.data[axis], x.shape[axis] - sizes[axis]))));
const updated = (x: NdArray, update: NdArray, starts: NdArray): number[] =>
  build(x.shape, (index) => {
    const within = index.map((i, axis) => i - clamp(starts.data[axis], x.shape[axis] - update.shape[axis]));
    return within.every((i, axis) => i >= 0 && i < update.shape[axis]) ? at(update, within) : at(x, index);
  });

const x237 = random([2, 3, 7]), x35 = random([3, 5]);
const dynamicCases: OpCase[] = [
  opCase("dynamicSlice", [x237, array([3], [0, 1, 3], "i32")], (x, s) => ops.dynamicSlice(x, s, [2, 1, 4]), {
    expected: sliced([2, 1, 4]),
    ...exact,
    golden: true,
  }),
  ...[[-3, 4], [9, -1]].map(([row, column]) =>
    opCase("dynamicSlice", [x35, scalar(row), scalar(column)], (x, i, j) => ops.dynamicSlice(x, [i, j], [2, 3]), {
      name: `moved inside from ${row}, ${column}`,
      differentiable: [],
      expected: (x, i, j) => sliced([2, 3])(x, array([2], [i.data[0], j.data[0]])),
      ...exact,
    })
  ),
  opCase("dynamicSlice", [x35, scalar(4294967295, "u32")], (x, i) => ops.dynamicSlice(x, [i, 1], [1, 3]), {
    name: "by u32 and a number",
    expected: (x) => build([1, 3], ([, j]) => at(x, [2, 1 + j])),
    ...exact,
  }),
  opCase("dynamicSlice", [x35, scalar(1)], (x, i) => ops.dynamicSlice(x, [i, i], [0, 2]), {
    name: "of nothing",
    expected: () => [],
    ...exact,
  }),
  opCase("dynamicSlice", [array([], [7])], (x) => ops.dynamicSlice(x, [], []), {
    name: "of a scalar",
    expected: () => [7],
    ...exact,
  }),
  opCase(
    "dynamicUpdateSlice",
    [x237, random([1, 3, 2], -2, 2, 5), array([3], [1, 0, 4], "i32")],
    ops.dynamicUpdateSlice,
    { expected: updated, ...exact, golden: true },
  ),
  opCase(
    "dynamicUpdateSlice",
    [x35, random([2, 2], -2, 2, 5), scalar(7), scalar(-7)],
    (x, update, i, j) => ops.dynamicUpdateSlice(x, update, [i, j]),
    {
      name: "moved inside",
      differentiable: [],
      expected: (x, update) => updated(x, update, array([2], [7, -7])),
      ...exact,
    },
  ),
  opCase(
    "dynamicUpdateSlice",
    [x35, random([3, 5], -2, 2, 5), scalar(2)],
    (x, update, i) => ops.dynamicUpdateSlice(x, update, [i, 0]),
    {
      name: "all of it",
      differentiable: [],
      expected: (_, update) => update.data,
      ...exact,
    },
  ),
  opCase("dynamicUpdateSlice", [array([5], [1, 2, 3, 4, 5], "i32"), array([2], [8, 9], "i32"), scalar(2, "u32")], (
    x: Tensor,
    update: Tensor,
    i: Tensor,
  ) => ops.dynamicUpdateSlice(x, update, [i]), { expected: () => [1, 2, 8, 9, 5], ...exact }),
];

const mod = (i: number, n: number) => ((i % n) + n) % n;
const tilingCases: OpCase[] = [
  opCase("repeat", [x237], (x) => ops.repeat(x, 3, { axis: 1 }), {
    expected: (x) => build([2, 9, 7], ([i, j, k]) => at(x, [i, Math.floor(j / 3), k])),
    tolerance: "arithmetic",
  }),
  opCase("repeat", [x35], (x) => ops.repeat(x, 2), {
    name: "of all",
    differentiable: [],
    expected: (x) => build([30], ([i]) => x.data[Math.floor(i / 2)]),
    tolerance: "arithmetic",
  }),
  opCase("repeat", [array([], [3])], (x) => ops.repeat(x, 0), { name: "never", expected: () => [], ...exact }),
  opCase("tile", [x35], (x) => ops.tile(x, [2, 1, 3]), {
    name: "into a new axis",
    expected: (x) => build([2, 3, 15], ([, i, j]) => at(x, [i, j % 5])),
    tolerance: "arithmetic",
  }),
  opCase("tile", [x35], (x) => ops.tile(x, 2), {
    name: "by a number",
    differentiable: [],
    expected: (x) => build([3, 10], ([i, j]) => at(x, [i, j % 5])),
    tolerance: "arithmetic",
  }),
  opCase("tile", [array([], [3])], (x) => ops.tile(x, [2]), { name: "a scalar", expected: () => [3, 3], ...exact }),
  opCase("tile", [x35], (x) => ops.tile(x, [0, 1]), { name: "never", expected: () => [], ...exact }),
  opCase("roll", [x237], (x) => ops.roll(x, [1, -2], { axes: [0, 2] }), {
    name: "two axes",
    expected: (x) => build([2, 3, 7], ([i, j, k]) => at(x, [mod(i - 1, 2), j, mod(k + 2, 7)])),
    ...exact,
  }),
  opCase("roll", [x35], (x) => ops.roll(x, 17), {
    name: "all",
    differentiable: [],
    expected: (x) => x.data.map((_, i) => x.data[mod(i - 17, 15)]),
    ...exact,
  }),
  opCase("roll", [array([0, 2], [])], (x) => ops.roll(x, 1, { axis: 0 }), {
    name: "nothing",
    expected: () => [],
    ...exact,
  }),
];

const triangleCases: OpCase[] = [
  opCase("tril", [random([2, 5, 5])], (x) => ops.tril(x), {
    expected: (x) => build([2, 5, 5], ([b, i, j]) => j <= i ? at(x, [b, i, j]) : 0),
    ...exact,
  }),
  opCase("tril", [x35], (x) => ops.tril(x, { diagonal: -1 }), {
    name: "below the diagonal",
    differentiable: [],
    expected: (x) => build([3, 5], ([i, j]) => j < i ? at(x, [i, j]) : 0),
    ...exact,
  }),
  opCase("tril", [array([2, 2], [NaN, Infinity, 1, NaN])], (x) => ops.tril(x, { diagonal: -1 }), {
    name: "hides NaN",
    expected: () => [0, 0, 1, 0],
    differentiable: [],
    ...exact,
  }),
  opCase("triu", [x35], (x) => ops.triu(x, { diagonal: 1 }), {
    name: "above the diagonal",
    expected: (x) => build([3, 5], ([i, j]) => j > i ? at(x, [i, j]) : 0),
    ...exact,
  }),
  opCase("triu", [array([2, 2], [1, 1, 1, 1], "bool")], (x) => ops.triu(x), { expected: () => [1, 1, 0, 1], ...exact }),
  opCase("triu", [random([0, 3, 3])], (x) => ops.triu(x), { name: "of nothing", expected: () => [], ...exact }),
  opCase("eye", [], () => ops.eye(3, { columns: 5, diagonal: 1, dtype: "i32" }), {
    name: "beside the diagonal",
    expected: () => build([3, 5], ([i, j]) => Number(j === i + 1)),
    ...exact,
  }),
  opCase("eye", [x35], (x) => ops.matmul(ops.eye(3), x), { name: "as a factor", expected: (x) => x.data, ...exact }),
];

/** All of them. */
export const PLACING_CASES: readonly OpCase[] = [...dynamicCases, ...tilingCases, ...triangleCases];
