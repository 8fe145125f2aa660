/** Cases of sorting, of the greatest of rows, and of taking along an axis. */
import { apply, type Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { permuteOp } from "../../ops/along_axis.ts";
import * as ops from "../../ops/mod.ts";
import { array, at, build, distinct, integers, random } from "../numeric.ts";
import { type OpCase, opCase } from "./op_case.ts";

const exact = { tolerance: "exact" } as const;

interface Ordering {
  readonly descending?: boolean;
  readonly nanFirst?: boolean;
}

/** The places of a row in order, by the engine's stable sort. */
function placesOf(row: readonly number[], { descending = false, nanFirst = false }: Ordering): number[] {
  const key = (value: number) => Number.isNaN(value) ? (nanFirst ? -Infinity : Infinity) : 0;
  const compare = (a: number, b: number): number => {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b) ? 0 : key(a) < key(b) ? -1 : 1;
    return a === b ? 0 : (a < b) === descending ? 1 : -1;
  };
  return [...row.keys()].sort((i, j) => compare(row[i], row[j]));
}

/** What a function of rows makes of each row along an axis of a matrix or a cube. */
const along = (axis: number, fn: (row: readonly number[]) => readonly number[]) => (x: NdArray): number[] => {
  const row = (index: readonly number[]) => Array.from({ length: x.shape[axis] }, (_, i) => at(x, index.with(axis, i)));
  const extent = fn(row(x.shape.map(() => 0))).length;
  return build(x.shape.with(axis, extent), (index) => fn(row(index))[index[axis]]);
};
const values = (ordering: Ordering, count?: number) => (row: readonly number[]) =>
  placesOf(row, ordering).slice(0, count).map((place) => row[place]);
const places = (ordering: Ordering, count?: number) => (row: readonly number[]) =>
  placesOf(row, ordering).slice(0, count);

const ties = array([2, 7], [3, NaN, -Infinity, 3, -1, Infinity, NaN, 0, -0, 2, NaN, 0, 2, -0]);
const sortCases: OpCase[] = [
  opCase("sort", [distinct([3, 7])], (x) => ops.sort(x), { expected: along(1, values({})), ...exact, golden: true }),
  opCase("sort", [distinct([5, 2, 3])], (x) => ops.sort(x, { axis: 0, descending: true }), {
    name: "along the first axis, descending",
    expected: along(0, values({ descending: true })),
    ...exact,
  }),
  opCase("sort", [distinct([2, 521], -20, 20)], (x) => ops.sort(x), {
    name: "long rows",
    expected: along(1, values({})),
    differentiable: [],
    ...exact,
  }),
  opCase("sort", [ties], (x) => ops.sort(x), {
    name: "with NaN",
    expected: along(1, values({})),
    differentiable: [],
    ...exact,
  }),
  opCase("sort", [integers([67], -9, 9)], (x) => ops.sort(x, { descending: true }), {
    expected: along(0, values({ descending: true })),
    ...exact,
  }),
  opCase("sort", [random([2, 0])], (x) => ops.sort(x), { name: "of nothing", expected: () => [], ...exact }),
  opCase("sort", [array([1], [3])], (x) => ops.sort(x), { name: "of one", expected: () => [3], ...exact }),
  opCase("argsort", [ties], (x) => ops.argsort(x), {
    name: "of ties and NaN",
    expected: along(1, places({})),
    differentiable: [],
    ...exact,
  }),
  opCase("argsort", [ties], (x) => ops.argsort(x, { descending: true }), {
    name: "of ties and NaN, descending",
    expected: along(1, places({ descending: true })),
    differentiable: [],
    ...exact,
  }),
  opCase("argsort", [integers([2, 600], 0, 5, "u32")], (x) => ops.argsort(x, { descending: true }), {
    name: "of long rows with ties",
    expected: along(1, places({ descending: true })),
    ...exact,
  }),
  opCase("argsort", [array([5], [-2147483648, 2147483647, 0, -2147483648, 5], "i32")], (x) => ops.argsort(x), {
    expected: () => [0, 3, 2, 4, 1],
    ...exact,
  }),
  opCase(
    "permute",
    [distinct([2, 5]), array([2, 5], [4, 2, 0, 1, 3, 1, 0, 3, 4, 2], "i32")],
    (x, order) => apply(permuteOp, [x, order, ops.argsort(order)], { axis: 1, batch: 1 }),
    { expected: (x, order) => build([2, 5], ([i, j]) => at(x, [i, at(order, [i, j])])), ...exact },
  ),
  opCase("topK", [distinct([3, 7])], (x) => ops.topK(x, 2)[0], {
    expected: along(1, values({ descending: true }, 2)),
    ...exact,
    golden: true,
  }),
  opCase("topK", [ties], (x) => ops.topK(x, 4)[1], {
    name: "places among ties and NaN",
    expected: along(1, places({ descending: true, nanFirst: true }, 4)),
    differentiable: [],
    ...exact,
  }),
  opCase("topK", [distinct([5, 3])], (x) => ops.topK(x, 5, { axis: 0 })[0], {
    name: "all of the columns",
    differentiable: [],
    expected: along(0, values({ descending: true })),
    ...exact,
  }),
  opCase("topK", [array([2, 3], [1, 2, 3, 4, 5, 6], "i32")], (x) => ops.topK(x, 0)[0], {
    name: "none",
    expected: () => [],
    ...exact,
  }),
];

const taken = (axis: number) => (x: NdArray, numbers: NdArray): number[] =>
  build(numbers.shape, (index) => {
    const number = at(numbers, index);
    return number < 0 || number >= x.shape[axis] ? NaN : at(x, index.with(axis, number));
  });
const takeCases: OpCase[] = [
  opCase("takeAlongAxis", [random([3, 5]), integers([3, 4], 0, 5)], (x, i) => ops.takeAlongAxis(x, i), {
    expected: taken(1),
    ...exact,
    golden: true,
  }),
  opCase(
    "takeAlongAxis",
    [random([2, 7, 3]), integers([2, 67, 3], 0, 7, "u32")],
    (x, i) => ops.takeAlongAxis(x, i, { axis: 1 }),
    { name: "in the middle, repeatedly", expected: taken(1), tolerance: "accumulation" },
  ),
  opCase("takeAlongAxis", [random([1, 5]), integers([3, 2], 0, 5)], (x, i) => ops.takeAlongAxis(x, i), {
    name: "of one row",
    differentiable: [],
    expected: (x, i) => build([3, 2], ([r, c]) => x.data[at(i, [r, c])]),
    ...exact,
  }),
  opCase("takeAlongAxis", [random([2, 3]), array([2, 2], [-1, 2, 0, 3], "i32")], (x, i) => ops.takeAlongAxis(x, i), {
    name: "outside",
    expected: taken(1),
    differentiable: [],
    ...exact,
  }),
  opCase("takeAlongAxis", [random([2, 3]), array([2, 0], [], "i32")], (x, i) => ops.takeAlongAxis(x, i), {
    name: "nothing",
    expected: () => [],
    ...exact,
  }),
  opCase(
    "takeAlongAxis",
    [random([2, 5]), random([2, 5], -2, 2, 2)],
    (x: Tensor, y: Tensor) => ops.takeAlongAxis(x, ops.argmin(y, { axis: 1, keepDims: true })),
    {
      name: "by argmin",
      differentiable: [],
      expected: (x, y) =>
        build([2, 1], ([i]) => at(x, [i, placesOf([0, 1, 2, 3, 4].map((j) => at(y, [i, j])), {})[0]])),
      ...exact,
    },
  ),
];

/** All of them. */
export const ORDERING_CASES: readonly OpCase[] = [...sortCases, ...takeCases];
