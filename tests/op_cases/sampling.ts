/** Cases of random draws: what depends on the draw is said of its uniform numbers, the rest holds in the suite of moments. */
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { spec, trace } from "../../core/trace.ts";
import * as ops from "../../ops/mod.ts";
import { array, random } from "../numeric.ts";
import { type OpCase, opCase } from "./op_case.ts";

const exact = { tolerance: "exact" } as const;
const key = array([2], [0x13198a2e, 0x03707344], "u32");

/** The uniform numbers of a key. */
function uniform(of: NdArray, shape: readonly number[]): Float64Array {
  const { graph } = trace((k: Tensor) => ops.uniform(k, shape), [spec([2], "u32")]);
  return interpret(graph, [of])[0].data;
}

/** The random bits of a key. */
function bits(of: NdArray, count: number): Float64Array {
  const { graph } = trace((k: Tensor) => ops.randomBits(k, [count]), [spec([2], "u32")]);
  return interpret(graph, [of])[0].data;
}

const orderOf = (values: Float64Array): number[] => [...values.keys()].sort((i, j) => values[i] - values[j]);
const share = random([5], 0, 1, 3);
/** All of them. */
export const SAMPLING_CASES: readonly OpCase[] = [
  opCase("splitKey", [array([2], [0, 0], "u32")], (k) => ops.stack(ops.splitKey(k, 3)), {
    name: "into three",
    // The first two words are the known answer of the generator for zeros.
    expected: (k) => [0x6b200159, 0x99ba4efe, ...[1, 2].flatMap((i) => folded(k, i))],
    ...exact,
  }),
  opCase("splitKey", [key], (k) => ops.splitKey(k)[1], { expected: (k) => folded(k, 1), ...exact }),
  opCase("bernoulli", [key], (k) => ops.bernoulli(k, [67], { p: 0.3 }), {
    expected: (k) => uniform(k, [67]).map((u) => Number(u < Math.fround(0.3))),
    ...exact,
  }),
  opCase("bernoulli", [key, share], (k, p) => ops.bernoulli(k, [3, 5], { p }), {
    name: "by a tensor",
    expected: (k, p) => uniform(k, [3, 5]).map((u, i) => Number(u < p.data[i % 5])),
    differentiable: [],
    ...exact,
  }),
  opCase("bernoulli", [key], (k) => ops.concat([ops.bernoulli(k, [7], { p: 0 }), ops.bernoulli(k, [7], { p: 1 })], 0), {
    name: "never and always",
    expected: () => [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1],
    ...exact,
  }),
  opCase("categorical", [key, random([3, 5])], (k, x) => ops.categorical(k, x, { shape: [7, 3] }), {
    differentiable: [],
    ...exact,
  }),
  opCase(
    "categorical",
    [key, array([3, 2], [-Infinity, 0, 5, -Infinity, -Infinity, -Infinity])],
    (k, x) => ops.categorical(k, x, { axis: 0 }),
    { name: "of one class", expected: () => [1, 0], differentiable: [], ...exact },
  ),
  opCase("permutation", [key], (k) => ops.permutation(k, 67), { expected: (k) => orderOf(bits(k, 67)), ...exact }),
  opCase("permutation", [key, random([3, 5])], (k, x) => ops.permutation(k, x, { axis: 1 }), {
    name: "of columns",
    expected: (k, x) => x.data.map((_, i) => x.data[i - i % 5 + orderOf(bits(k, 5))[i % 5]]),
    ...exact,
  }),
  opCase("permutation", [key], (k) => ops.permutation(k, 0), { name: "of nothing", expected: () => [], ...exact }),
  opCase("truncatedNormal", [key], (k) => ops.truncatedNormal(k, [67]), { tolerance: "function" }),
  opCase("truncatedNormal", [key], (k) => ops.truncatedNormal(k, [3, 5], { low: 3, high: Infinity }), {
    name: "in the tail",
    tolerance: "function",
  }),
  opCase("dropout", [key, random([3, 67])], (k, x) => ops.dropout(k, x, { rate: 0.25 }), {
    expected: (k, x) => uniform(k, [3, 67]).map((u, i) => u < 0.75 ? x.data[i] / 0.75 : 0),
  }),
  opCase(
    "dropout",
    [key, random([3])],
    (k, x) => ops.concat([ops.dropout(k, x, { rate: 0 }), ops.dropout(k, x, { rate: 1 })], 0),
    {
      name: "of none and of all",
      expected: (_, x) => [...x.data, 0, 0, 0],
      ...exact,
    },
  ),
];

/** What a number folded into a key gives. */
function folded(of: NdArray, number: number): number[] {
  const { graph } = trace((k: Tensor) => ops.foldIn(k, number), [spec([2], "u32")]);
  return [...interpret(graph, [of])[0].data];
}
