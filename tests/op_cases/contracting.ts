/** Cases of products, gathers and recurrences. */
import type { NdArray } from "../../core/op.ts";
import { broadcastShapes, type Shape, sizeOfShape } from "../../core/shape.ts";
import * as ops from "../../ops/mod.ts";
import { array, at, build, integers, random } from "../numeric.ts";
import { type OpCase, opCase } from "./op_case.ts";

const exact = { tolerance: "exact" } as const;

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

function plainMatmul(lhs: NdArray, rhs: NdArray): number[] {
  const left = lhs.shape.length === 1 ? { ...lhs, shape: [1, ...lhs.shape] } : lhs;
  const right = rhs.shape.length === 1 ? { ...rhs, shape: [...rhs.shape, 1] } : rhs;
  const [M, K] = left.shape.slice(-2), N = right.shape[right.shape.length - 1];
  const batch = broadcastShapes(left.shape.slice(0, -2), right.shape.slice(0, -2));
  return build([...batch, M, N], (index) => {
    const lead = index.slice(0, -2), [m, n] = index.slice(-2);
    // An inner extent of 1 must not be mistaken for a repeated one: `at` repeats it, and the only index there is 0.
    return total(Array.from({ length: K }, (_, k) => at(left, [...lead, m, k]) * at(right, [...lead, k, n])));
  });
}

const MATMULS: readonly (readonly [Shape, Shape])[] = [
  [[1, 1], [1, 1]],
  [[5, 7], [7, 3]],
  [[65, 33], [33, 17]],
  [[2, 5, 7], [2, 7, 3]],
  [[2, 3, 5, 7], [7, 3]],
  [[5, 7], [2, 7, 3]],
  [[2, 1, 5, 7], [3, 7, 2]],
  [[3, 5, 7], [1, 7, 2]],
  [[7], [7]],
  [[7], [7, 3]],
  [[5, 7], [7]],
  [[2, 5, 7], [7]],
  [[3, 0], [0, 2]],
  [[0, 7], [7, 2]],
];

const matmulCases = MATMULS.map(([lhs, rhs], i) =>
  opCase("matmul", [random(lhs, -1, 1, i + 1), random(rhs, -1, 1, i + 30)], ops.matmul, {
    expected: plainMatmul,
    tolerance: "accumulation",
    golden: i === 2,
  })
);

/** Sums over every letter by brute force. */
function plainEinsum(subscripts: string): (...args: NdArray[]) => number[] {
  return (...args) => {
    const [inputs, out] = subscripts.split("->"), operands = inputs.split(",");
    const extents = new Map<string, number>();
    operands.forEach((labels, i) => [...labels].forEach((label, axis) => extents.set(label, args[i].shape[axis])));
    const summed = [...extents.keys()].filter((label) => !out.includes(label));
    const sumShape = summed.map((label) => extents.get(label)!);
    return build([...out].map((label) => extents.get(label)!), (index) =>
      total(build(sumShape, (inner) => {
        const place = new Map([
          ...[...out].map((label, i) => [label, index[i]] as const),
          ...summed.map((label, i) => [label, inner[i]] as const),
        ]);
        return operands.reduce(
          (product, labels, i) => product * at(args[i], [...labels].map((label) => place.get(label)!)),
          1,
        );
      })));
  };
}

const EINSUMS: readonly (readonly [string, ...Shape[]])[] = [
  ["ij->ji", [3, 5]],
  ["ijk->j", [2, 3, 7]],
  ["ij->", [3, 5]],
  ["ik,kj->ij", [3, 5], [5, 2]],
  ["bhtk,bhsk->bhts", [2, 3, 5, 7], [2, 3, 4, 7]],
  ["bik,bkj->jbi", [2, 3, 5], [2, 5, 7]],
  ["i,j->ij", [3], [5]],
  ["i,i->", [7], [7]],
  ["bi,bi->b", [3, 7], [3, 7]],
  ["bi,bi->bi", [3, 7], [3, 7]],
  ["ijk,jl->il", [2, 3, 5], [3, 7]],
  ["abcd,cdef->abef", [2, 1, 3, 5], [3, 5, 2, 3]],
  ["bi,j->bij", [2, 3], [5]],
  [",i->i", [], [5]],
];

const einsumCases = [
  ...EINSUMS.map(([subscripts, ...shapes], n) =>
    opCase(
      "einsum",
      shapes.map((shape, i) => random(shape, -1, 1, 10 * n + i + 1)),
      (...args) => ops.einsum(subscripts, ...args),
      {
        name: subscripts,
        expected: plainEinsum(subscripts),
        tolerance: "accumulation",
      },
    )
  ),
  opCase("einsum", [random([3, 5]), random([5, 2])], (x, y) => ops.einsum("ik, kj", x, y), {
    name: "without a result",
    expected: plainEinsum("ik,kj->ij"),
    tolerance: "accumulation",
  }),
];

function plainGather(axis: number): (x: NdArray, indices: NdArray) => number[] {
  return (x, indices) => {
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    return build(shape, (index) => {
      const at = indices.data[
        index.slice(axis, axis + indices.shape.length).reduce((offset, i, a) => offset * indices.shape[a] + i, 0)
      ];
      if (at < 0 || at >= x.shape[axis]) {
        return x.dtype === "f32" ? NaN : 0;
      }
      const place = [...index.slice(0, axis), at, ...index.slice(axis + indices.shape.length)];
      return x.data[place.reduce((offset, i, a) => offset * x.shape[a] + i, 0)];
    });
  };
}

function plainScatter(axis: number): (x: NdArray, indices: NdArray, updates: NdArray) => number[] {
  return (x, indices, updates) => {
    const out = [...x.data];
    const seen = build(updates.shape, () => 0);
    let next = 0;
    build(updates.shape, (index) => {
      const at = indices.data[
        index.slice(axis, axis + indices.shape.length).reduce((offset, i, a) => offset * indices.shape[a] + i, 0)
      ];
      const place = [...index.slice(0, axis), at, ...index.slice(axis + indices.shape.length)];
      if (at >= 0 && at < x.shape[axis]) {
        out[
          place.reduce((offset, i, a) => offset * x.shape[a] + i, 0)
        ] += updates.data[next];
      }
      return seen[next++];
    });
    return out;
  };
}

const repeated = array([2, 3], [1, 0, 4, 1, 1, 2], "i32"), outside = array([4], [-1, 2, 5, 4], "i32");
const gatherCases: OpCase[] = [
  opCase("gather", [random([5, 3]), repeated], (x, i) => ops.gather(x, i), {
    name: "rows",
    expected: plainGather(0),
    ...exact,
    golden: true,
  }),
  opCase("gather", [random([3, 5]), repeated], (x, i) => ops.gather(x, i, { axis: 1 }), {
    name: "columns",
    expected: plainGather(1),
    ...exact,
  }),
  opCase("gather", [random([2, 5, 3]), array([2], [4, 0], "u32")], (x, i) => ops.gather(x, i, { axis: -2 }), {
    name: "by u32",
    expected: plainGather(1),
    ...exact,
  }),
  opCase("gather", [random([7]), array([], [3], "i32")], (x, i) => ops.gather(x, i), {
    name: "one",
    expected: plainGather(0),
    ...exact,
  }),
  opCase("gather", [random([5, 3]), outside], (x, i) => ops.gather(x, i), {
    name: "outside",
    expected: plainGather(0),
    differentiable: [],
    ...exact,
  }),
  opCase("gather", [integers([5], 1, 9), outside], (x, i) => ops.gather(x, i), {
    name: "outside",
    expected: plainGather(0),
    ...exact,
  }),
  opCase("gather", [array([5], [1, 1, 0, 1, 1], "bool"), outside], (x, i) => ops.gather(x, i), {
    name: "outside",
    expected: plainGather(0),
    ...exact,
  }),
  opCase("gather", [random([5, 3]), array([0], [], "i32")], (x, i) => ops.gather(x, i), {
    name: "nothing",
    expected: () => [],
    ...exact,
  }),
  opCase("scatterAdd", [random([5, 3]), repeated, random([2, 3, 3], -2, 2, 2)], (x, i, u) => ops.scatterAdd(x, i, u), {
    name: "rows",
    expected: plainScatter(0),
    golden: true,
  }),
  opCase(
    "scatterAdd",
    [random([3, 5]), repeated, random([3, 2, 3], -2, 2, 2)],
    (x, i, u) => ops.scatterAdd(x, i, u, { axis: 1 }),
    {
      name: "columns",
      expected: plainScatter(1),
    },
  ),
  opCase("scatterAdd", [random([5, 3]), outside, random([4, 3], -2, 2, 2)], (x, i, u) => ops.scatterAdd(x, i, u), {
    name: "outside",
    expected: plainScatter(0),
  }),
  opCase(
    "scatterAdd",
    [random([2, 5, 3]), array([2], [4, 9], "u32"), random([2, 2, 3])],
    (x, i, u) => ops.scatterAdd(x, i, u, { axis: 1 }),
    {
      name: "by u32, outside",
      expected: plainScatter(1),
    },
  ),
  opCase(
    "scatterAdd",
    [integers([5], -9, 9), repeated, integers([2, 3], -9, 9, "i32", 2)],
    (x, i, u) => ops.scatterAdd(x, i, u),
    {
      expected: plainScatter(0),
      ...exact,
    },
  ),
  opCase("scatterAdd", [random([7]), array([], [3], "i32"), array([], [2.5])], (x, i, u) => ops.scatterAdd(x, i, u), {
    name: "one",
    expected: plainScatter(0),
  }),
  opCase("scatterAdd", [random([5, 3]), array([0], [], "i32"), random([0, 3])], (x, i, u) => ops.scatterAdd(x, i, u), {
    name: "nothing",
    expected: (x) => x.data,
  }),
  opCase("oneHot", [array([4], [0, 2, 5, -1], "i32")], (i) => ops.oneHot(i, 3), {
    expected: () => [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    ...exact,
  }),
  opCase("oneHot", [array([], [1], "u32")], (i) => ops.oneHot(i, 2, { dtype: "i32" }), {
    name: "of a scalar",
    expected: () => [0, 1],
    ...exact,
  }),
];

function plainScan(axis: number, reverse = false): (a: NdArray, b: NdArray) => number[] {
  return (a, b) => {
    const shape = broadcastShapes(a.shape, b.shape);
    // h_t is the sum of b_s times the product of the factors after s: no recurrence here.
    return build(shape, (index) => {
      const steps = reverse ? shape[axis] - 1 - index[axis] : index[axis];
      const place = (step: number) =>
        index.map((i, at) => (at === axis ? (reverse ? shape[axis] - 1 - step : step) : i));
      return total(Array.from({ length: steps + 1 }, (_, s) => {
        let term = at(b, place(s));
        for (let j = s + 1; j <= steps; j++) term *= at(a, place(j));
        return term;
      }));
    });
  };
}

const withZeros = array([2, 5], [2, 0, 3, 0.5, -1, 0, 1.5, 2, 0, 4]);
const only = (x: number, shape: Shape) => array(shape, new Array(sizeOfShape(shape)).fill(x));
const plainCumprod = (axis: number, reverse = false) => (x: NdArray) => {
  const step = reverse ? -1 : 1;
  return build(x.shape, (index) => {
    let product = 1;
    for (let t = reverse ? x.shape[axis] - 1 : 0; reverse ? t >= index[axis] : t <= index[axis]; t += step) {
      product *= x.data[
        index.map((i, at) => (at === axis ? t : i)).reduce((offset, i, at) => offset * x.shape[at] + i, 0)
      ];
    }
    return product;
  });
};

const scanCases: OpCase[] = [
  opCase("linearScan", [random([67], 0, 1), random([67], -1, 1, 2)], (a, b) => ops.linearScan(a, b, { axis: 0 }), {
    expected: plainScan(0),
    tolerance: "accumulation",
  }),
  opCase(
    "linearScan",
    [random([2, 5, 3], -1, 1), random([2, 5, 3], -1, 1, 2)],
    (a, b) => ops.linearScan(a, b, { axis: 1 }),
    {
      name: "in the middle",
      expected: plainScan(1),
      tolerance: "accumulation",
      golden: true,
    },
  ),
  opCase(
    "linearScan",
    [random([2, 5, 3], -1, 1), random([2, 5, 3], -1, 1, 2)],
    (a, b) => ops.linearScan(a, b, { axis: -2, reverse: true }),
    {
      name: "from the end",
      expected: plainScan(1, true),
      tolerance: "accumulation",
    },
  ),
  opCase("linearScan", [withZeros, random([2, 5])], (a, b) => ops.linearScan(a, b, { axis: 1 }), {
    name: "with zeros",
    expected: plainScan(1),
    tolerance: "accumulation",
  }),
  opCase("linearScan", [random([5, 1]), random([5, 3])], (a, b) => ops.linearScan(a, b, { axis: 0 }), {
    name: "broadcast",
    expected: plainScan(0),
    tolerance: "accumulation",
  }),
  opCase("linearScan", [random([5, 3])], (b) => ops.linearScan(0.9, b, { axis: 0 }), {
    name: "by a number",
    expected: (b) => plainScan(0)(only(0.9, [5, 3]), b),
    tolerance: "accumulation",
  }),
  opCase("linearScan", [random([1]), random([1], -1, 1, 2)], (a, b) => ops.linearScan(a, b, { axis: 0 }), {
    name: "one step",
    expected: (_, b) => b.data,
    ...exact,
  }),
  opCase("linearScan", [random([3, 0]), random([3, 0])], (a, b) => ops.linearScan(a, b, { axis: 1 }), {
    name: "no step",
    expected: () => [],
    ...exact,
  }),
  opCase("cumsum", [random([3, 7])], (x) => ops.cumsum(x, { axis: 1 }), {
    expected: (x) => plainScan(1)(only(1, [3, 7]), x),
    tolerance: "accumulation",
  }),
  opCase("cumsum", [random([3, 7])], (x) => ops.cumsum(x, { axis: 0, reverse: true }), {
    name: "from the end",
    expected: (x) => plainScan(0, true)(only(1, [3, 7]), x),
    tolerance: "accumulation",
  }),
  opCase("cumsum", [integers([7], -9, 9)], (x) => ops.cumsum(x, { axis: 0 }), {
    expected: (x) => plainScan(0)(only(1, [7]), x),
    ...exact,
  }),
  opCase("cumprod", [random([3, 7], 0.3, 1.5)], (x) => ops.cumprod(x, { axis: 1 }), {
    expected: plainCumprod(1),
    tolerance: "accumulation",
  }),
  opCase("cumprod", [random([7, 2], -1.5, 1.5)], (x) => ops.cumprod(x, { axis: 0, reverse: true }), {
    name: "from the end",
    expected: plainCumprod(0, true),
    tolerance: "accumulation",
  }),
  opCase("cumprod", [withZeros], (x) => ops.cumprod(x, { axis: 1 }), {
    name: "with zeros",
    expected: plainCumprod(1),
    tolerance: "accumulation",
  }),
  opCase("cumprod", [array([1], [3])], (x) => ops.cumprod(x, { axis: 0 }), {
    name: "of one",
    expected: () => [3],
    ...exact,
  }),
  opCase("cumprod", [array([2, 0], [])], (x) => ops.cumprod(x, { axis: 1 }), {
    name: "of nothing",
    expected: () => [],
    ...exact,
  }),
  opCase("cumprod", [integers([7], 1, 4)], (x) => ops.cumprod(x, { axis: 0 }), { expected: plainCumprod(0), ...exact }),
];

/** All of them. */
export const CONTRACTING_CASES: readonly OpCase[] = [...matmulCases, ...einsumCases, ...gatherCases, ...scanCases];
