/**
 * Evaluates functions of tensors with the f64 interpreter, before and after simplification, checking the graph between
 * passes.
 */
import { interpret } from "../core/interpret.ts";
import type { NdArray } from "../core/op.ts";
import { simplify } from "../core/simplify.ts";
import { spec, trace } from "../core/trace.ts";
import { verify } from "../core/verify.ts";
import type { DType } from "../core/dtype.ts";

/** An f32 scalar. */
export function scalar(value: number): NdArray {
  return array([], [value]);
}

/** An f32 vector. */
export function vector(...values: number[]): NdArray {
  return array([values.length], values);
}

/** An array of a shape. */
export function array(shape: readonly number[], values: ArrayLike<number>, dtype: DType = "f32"): NdArray {
  return { shape, dtype, data: Float64Array.from(values) };
}

/** A smooth deterministic array: values `scale * sin(1.7 i + phase)`. */
export function wave(shape: readonly number[], phase = 0, scale = 1): NdArray {
  const size = shape.reduce((a, b) => a * b, 1);
  return array(shape, Array.from({ length: size }, (_, i) => scale * Math.sin(1.7 * i + phase)));
}

/** The leaves of the result in order, each as numbers. Throws if simplification changes a value by more than 1e-12. */
// deno-lint-ignore no-explicit-any -- any function of tensors
export function evaluate(fn: (...args: any[]) => unknown, inputs: readonly NdArray[]): number[][] {
  const { graph } = trace(fn, inputs.map((input) => spec(input.shape, input.dtype)));
  verify(graph);
  const plain = interpret(graph, inputs);
  const simplified = simplify(graph);
  verify(simplified);
  const results = interpret(simplified, inputs);
  results.forEach((result, n) =>
    result.data.forEach((value, i) => {
      const expected = plain[n].data[i];
      const same = Object.is(value, expected) || Math.abs(value - expected) <= 1e-12 * Math.max(1, Math.abs(expected));
      if (!same) throw new Error(`simplify changed element ${i} of result ${n} from ${expected} to ${value}`);
    })
  );
  return results.map((result) => [...result.data]);
}
