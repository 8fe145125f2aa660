/** Functions whose gradient is written by hand. */
import { aliasOp } from "./alias.ts";
import { captureCall, type CapturedCall, MixedTree } from "./captured_call.ts";
import { isFloat, type Type } from "./dtype.ts";
import { CompileError, DTypeError, ShapeError } from "./errors.ts";
import { applyAll, currentContext, isTensor, type Tensor } from "./graph.ts";
import { fill } from "./linear.ts";
import type { Attrs, VjpCall } from "./op.ts";
import { formatType, sameShape } from "./shape.ts";
import { flatten, isContainer, type MapTree, sameTree } from "./tree.ts";
import { checkFunction } from "./describe.ts";

/** The cotangents of a function's arguments: of each a tree like it, with undefined for what has none. */
export type ArgumentCotangents<Args extends readonly unknown[]> = {
  readonly [K in keyof Args]: MapTree<Args[K], Tensor, Tensor | undefined> | undefined;
};

/** The gradient of a function, written by hand. */
export interface VjpRule<Args extends readonly unknown[], R, Residuals> {
  /**
   * What the backward pass needs: `[result, residuals]`, the result being that of the function. Called while the
   * function is traced; where nothing is differentiated, nothing of it is computed.
   */
  readonly forward: (...args: Args) => readonly [R, Residuals];
  /**
   * From residuals and the cotangent of the result, a tree like the result with zeros where none arrives, to a list of
   * cotangents, one for each argument. Arguments without a gradient (integers, truth values, values that are not tensors) get
   * undefined; undefined in the place of a float is zero.
   */
  readonly backward: (residuals: Residuals, cotangent: R) => ArgumentCotangents<Args>;
}

/**
 * A function with a gradient of its own, in place of the one that follows from its ops: for formulas that are more
 * accurate or cheaper, for straight-through estimators, for gradients that are clipped or reversed on their way.
 *
 * The value is always that of `fn`. `backward` is made of ops, so that it is differentiated in turn where a gradient of
 * a gradient is asked for; `residuals` are differentiated as what they are computed from. Nothing checks that the
 * gradient is that of the function.
 *
 * Source: `jax.custom_vjp`.
 * @param fn A function of trees of tensors that returns a tree of tensors. Arguments that are not tensors are passed on
 * as they are. What is differentiated must be an argument: a tensor from outside has no cotangent.
 * @param rule Its gradient.
 * @returns A function of the same arguments with the same result.
 * @throws {ShapeError | DTypeError | CompileError} when it is traced or differentiated: a result of `forward` that is
 * not like that of `fn`, cotangents that are not like the arguments, a differentiated tensor from outside.
 * @example
 * ```ts
 * import { compile, customVjp, grad, requestDevice, spec, type Tensor } from "@mneme/titans";
 * import { exp, log, mul, sigmoid, add, sum } from "@mneme/titans/ops";
 *
 * // log(1 + e^x): by its ops the gradient at 100 would be Infinity / Infinity.
 * const softplus = customVjp((x: Tensor) => log(add(exp(x), 1)), {
 *   forward: (x) => [log(add(exp(x), 1)), x],
 *   backward: (x, g) => [mul(g, sigmoid(x))],
 * });
 * const device = await requestDevice({ kind: "reference" });
 * const program = await compile(device, grad((x: Tensor) => sum(softplus(x))), [spec([2])]);
 * const { data } = await program.run([0, 1000]);
 * if (data[0] !== 0.5 || data[1] !== 1) throw new Error(`0.5 and 1 were expected, not ${data}`);
 * device.dispose();
 * ```
 */
export function customVjp<Args extends readonly unknown[], R, Residuals>(
  fn: (...args: Args) => R,
  rule: VjpRule<Args, R, Residuals>,
): (...args: Args) => R {
  for (const given of [fn, rule?.forward, rule?.backward]) checkFunction("call customVjp with", given);
  const name = fn.name ? `customVjp of ${fn.name}` : "customVjp";
  return (...args) => {
    const call = captureCall(fn, args);
    const residuals = residualsOf(name, rule.forward(...call.marked), call);
    const { inputs, result, captured } = call, sources = [...inputs, ...captured];
    const start = sources.length, end = start + result.tensors.length;
    const vjp = ({ inputs: given, outputs, cotangents, needs }: VjpCall<Attrs>): (Tensor | undefined)[] => {
      captured.forEach((tensor, i) => refuseCaptured(name, tensor, needs[inputs.length + i]));
      const arrived = outputs.map((output, i) => cotangents[i] ?? fill(output, 0));
      const made: unknown = rule.backward(residuals.with(given.slice(end)) as Residuals, result.with(arrived) as R);
      const found = cotangentsOf(name, made, args);
      return given.map((_, i) => found[i]);
    };
    const op = aliasOp("customVjp", { start, end }, vjp);
    // A number of its own: no other call's node, whose gradient would be another, may stand for this one.
    const outputs = applyAll(op, [...sources, ...result.tensors, ...residuals.tensors], {
      id: currentContext().unique(),
    });
    return result.with(outputs) as R;
  };
}

/** Checks what `forward` returned. */
function residualsOf(name: string, made: unknown, { result }: CapturedCall): MixedTree {
  if (!Array.isArray(made) || made.length !== 2) {
    throw new CompileError(`Cannot call ${name}: its forward must return [result, residuals]`);
  }
  const again = new MixedTree(made[0], "the result of a forward");
  if (!sameTree(again.spec, result.spec) || again.tensors.length !== result.tensors.length) {
    throw new CompileError(`Cannot call ${name}: the result of its forward is nested otherwise than that of fn`);
  }
  again.tensors.forEach((tensor, i) =>
    checkType(`Cannot call ${name}: the result of its forward is`, tensor, "that of fn", result.tensors[i])
  );
  return new MixedTree(made[1], "a residual");
}

/** Of each tensor among the arguments its cotangent, as `backward` returned them. */
function cotangentsOf(name: string, made: unknown, args: readonly unknown[]): (Tensor | undefined)[] {
  const fault = `Cannot differentiate ${name}:`;
  if (!Array.isArray(made) || made.length !== args.length) {
    const got = Array.isArray(made) ? `${made.length} entries` : "no list";
    throw new CompileError(
      `${fault} its backward must return a list of one cotangent for each of ${args.length} arguments, returned ${got}`,
    );
  }
  return args.flatMap((arg, position) => {
    const given = new MixedTree(arg, "an argument"), what = `argument ${position}`;
    if (made[position] === undefined) return given.tensors.map(() => undefined);
    const { leaves, spec } = flatten(made[position], (value): value is unknown => !isContainer(value), "a cotangent");
    if (!sameTree(spec, given.spec)) {
      throw new CompileError(`${fault} the cotangent of ${what} is nested otherwise than the argument`);
    }
    return given.leaves.flatMap((leaf, i) => {
      const path = `${what}${given.paths[i] && ` at ${given.paths[i]}`}`, cotangent = leaves[i];
      if (cotangent !== undefined) checkCotangent(fault, cotangent, path, leaf);
      return isTensor(leaf) ? [cotangent as Tensor | undefined] : [];
    });
  });
}

function checkCotangent(fault: string, cotangent: unknown, path: string, leaf: unknown): asserts cotangent is Tensor {
  if (!isTensor(leaf) || !isFloat(leaf.dtype)) {
    const is = isTensor(leaf) ? formatType(leaf) : "no tensor";
    throw new DTypeError(`${fault} ${path} is ${is} and has no cotangent; its backward must return undefined for it`);
  }
  if (!isTensor(cotangent)) {
    throw new CompileError(`${fault} the cotangent of ${path} must be a tensor ${formatType(leaf)}`);
  }
  checkType(`${fault} the cotangent of ${path} is`, cotangent, "the argument", leaf);
}

function checkType(fault: string, given: Type, what: string, expected: Type): void {
  const text = `${fault} ${formatType(given)} and ${what} is ${formatType(expected)}`;
  if (given.dtype !== expected.dtype) throw new DTypeError(text, [given.dtype, expected.dtype]);
  if (!sameShape(given.shape, expected.shape)) throw new ShapeError(text, [given.shape, expected.shape]);
}

function refuseCaptured(name: string, tensor: Tensor, needed: boolean): void {
  if (!needed) return;
  throw new CompileError(
    `Cannot differentiate ${name} in ${
      formatType(tensor)
    }: the function takes it from outside, and its backward returns cotangents of arguments only; pass it as one`,
  );
}
