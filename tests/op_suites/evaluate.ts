/** How the suites run a case: trace, optionally differentiate, interpret in f64. */
import { grad } from "../../core/grad.ts";
import type { Graph, Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { verify } from "../../core/verify.ts";
import { add, constant, mul, sum } from "../../ops/mod.ts";
import { assertClose, random } from "../numeric.ts";
import type { OpCase } from "../op_cases.ts";

/** A function of tensors, as cases have them. */
export type TensorFunction = (...args: Tensor[]) => Tensor;

/** The traced graph, as written and simplified; both verified. */
export function graphsOf(
  fn: (...args: Tensor[]) => unknown,
  inputs: readonly NdArray[],
): { plain: Graph; simplified: Graph } {
  const { graph } = trace(fn, inputs.map(({ shape, dtype }) => spec(shape, dtype)));
  verify(graph);
  const simplified = simplify(graph);
  verify(simplified);
  return { plain: graph, simplified };
}

/** Evaluates a function, as written and simplified, and asserts that both agree. */
export function evaluate(fn: (...args: Tensor[]) => unknown, inputs: readonly NdArray[], label: string): NdArray[] {
  const { plain, simplified } = graphsOf(fn, inputs);
  const results = interpret(plain, inputs);
  interpret(simplified, inputs).forEach((result, i) =>
    assertClose(
      result.data,
      results[i].data,
      { relative: 1e-11, absolute: 1e-12 },
      `${label}: simplified`,
      result.shape,
    )
  );
  return results;
}

/**
 * A scalar that makes every element of a case's result count differently, and not linearly: so the cotangent that
 * arrives at the op depends on the arguments, and second derivatives test what the op's gradient does with it.
 */
export function lossOf({ fn, inputs }: OpCase): TensorFunction {
  const [output] = trace(fn, inputs.map(({ shape, dtype }) => spec(shape, dtype))).graph.outputs;
  const weights = random(output.shape, 0.5, 1.5, 99);
  return (...args) => {
    const y = fn(...args);
    return sum(mul(constant(weights.data, weights.shape), add(y, mul(mul(y, y), 0.25))));
  };
}

/** The derivative of `<grad of loss in one argument, direction>`: what the second-order suite differentiates. */
export function slopeOf(loss: TensorFunction, argument: number, direction: NdArray): TensorFunction {
  const gradient = grad(loss, { argnums: argument });
  return (...args) => sum(mul(gradient(...args) as Tensor, constant(direction.data, direction.shape)));
}

/** A random direction for an argument. */
export function directionOf(x: NdArray, seed: number): NdArray {
  return random(x.shape, -1, 1, seed + 1000);
}

/** `d/dh fn(..., x + h direction, ...)` at 0 by a central difference of fourth order. */
export function directionalDifference(
  fn: TensorFunction,
  inputs: readonly NdArray[],
  argument: number,
  direction: NdArray,
): number {
  const { graph } = trace(fn, inputs.map(({ shape, dtype }) => spec(shape, dtype)));
  const value = (h: number): number => {
    const moved = inputs.map((
      x,
      i,
    ) => (i === argument ? { ...x, data: x.data.map((element, j) => element + h * direction.data[j]) } : x));
    return interpret(graph, moved)[0].data[0];
  };
  const h = 2e-3;
  return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h);
}

/** The inner product. */
export function dot(x: NdArray, y: NdArray): number {
  return x.data.reduce((sum, value, i) => sum + value * y.data[i], 0);
}

/** Runs a check on each case and reports all failures together. */
export function forEachCase(cases: readonly OpCase[], check: (opCase: OpCase) => void): void {
  const failures: string[] = [];
  for (const opCase of cases) {
    try {
      check(opCase);
    } catch (error) {
      failures.push(error instanceof Error && error.name === "Error" ? error.message : `${opCase.name}: ${error}`);
    }
  }
  if (failures.length > 0) {
    throw new Error(`${failures.length} of ${cases.length} cases failed:\n${failures.slice(0, 20).join("\n")}`);
  }
}

/** The cases that have an argument to differentiate. */
export function differentiable(cases: readonly OpCase[]): readonly OpCase[] {
  return cases.filter((opCase) => opCase.differentiable.length > 0);
}
