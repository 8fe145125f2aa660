import { type DType, isFloat } from "../../core/dtype.ts";
import type { Tensor } from "../../core/graph.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import type { NdArray } from "../../core/op.ts";
import * as ops from "../../ops/mod.ts";
import { array, assertClose } from "../numeric.ts";
import { assertEquals } from "@std/assert";

/** Evaluates a function; each result is rounded, as on a device with f16, or not. */
function evaluate(fn: (x: Tensor) => Tensor, x: NdArray, round: (value: number, dtype: DType) => number): NdArray {
  const graph = simplify(trace(fn, [spec(x.shape, x.dtype)]).graph);
  const values = new Map<Tensor, NdArray>([[graph.inputs[0], x]]);
  for (const { op, inputs, attrs, outputs } of graph.nodes) {
    const results = op.reference(inputs.map((input) => values.get(input)!), attrs, outputs);
    outputs.forEach((tensor, i) => {
      const { shape, dtype } = tensor;
      values.set(tensor, {
        shape,
        dtype,
        data: isFloat(dtype) ? results[i].map((value) => round(value, dtype)) : results[i],
      });
    });
  }
  return values.get(graph.outputs[0])!;
}

const half = (shape: readonly number[], values: ArrayLike<number>) => array(shape, values, "f16");
const large = [300, -300, 290, -310, 8000, -60000, 12, 0.5];

/** What squares, sums or counts of f16 would make infinite, zero or wrong. */
const CASES: readonly (readonly [name: string, fn: (x: Tensor) => Tensor, x: NdArray])[] = [
  ["layerNorm", (x) => ops.layerNorm(x), half([2, 4], large)],
  [
    "layerNorm with gain and bias",
    (x) => ops.layerNorm(x, { gain: ops.full([4], 2, "f16"), bias: ops.full([4], 0.5, "f16") }),
    half([2, 4], large),
  ],
  ["rmsNorm", (x) => ops.rmsNorm(x), half([2, 4], large)],
  ["rmsNorm with gain", (x) => ops.rmsNorm(x, { gain: ops.full([4], 3, "f16") }), half([2, 4], large)],
  ["l2Normalize", (x) => ops.l2Normalize(x), half([2, 4], large)],
  ["mean of many", (x) => ops.mean(x), half([70000], new Float32Array(70000).fill(1))],
  ["mean of large numbers", (x) => ops.mean(x), half([4], [60000, 60000, 50000, 60000])],
  ["softmax of many", (x) => ops.softmax(x), half([70000], new Float32Array(70000))],
  ["logSoftmax of many", (x) => ops.logSoftmax(x), half([70000], new Float32Array(70000))],
  ["logSumExp of many", (x) => ops.logSumExp(x), half([70000], new Float32Array(70000))],
  ["logSumExp at the end of the range", (x) => ops.logSumExp(x), half([2], [65504, 0])],
  [
    "crossEntropy",
    (x) => ops.crossEntropy(x, ops.arange(3), { reduction: "mean" }),
    half([3, 4], [...large, 1, 2, 3, 4]),
  ],
];

for (const [name, fn, x] of CASES) {
  Deno.test(`f16: ${name} is computed in f32 and rounded once`, () => {
    const rounded = evaluate(fn, x, (value, dtype) => (dtype === "f16" ? Math.f16round(value) : Math.fround(value)));
    assertEquals(rounded.dtype, "f16");
    assertClose(
      rounded.data,
      evaluate(fn, x, (value) => value).data,
      { relative: 1e-3, absolute: 1e-7 },
      name,
      rounded.shape,
    );
  });
}
