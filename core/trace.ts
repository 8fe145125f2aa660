/** Traces a user's function to a {@link Graph}. */
import { checkFunction } from "./describe.ts";
import { checkDType, type DType, type Type } from "./dtype.ts";
import { CompileError } from "./errors.ts";
import { Graph, isTensor, parameter, type Tensor, TraceContext, withContext } from "./graph.ts";
import { showAsText } from "./inspect.ts";
import { checkList, checkShape, formatShape, formatType, type Shape } from "./shape.ts";
import { flatten, type MapTree, type TreeSpec, unflatten } from "./tree.ts";

/** The static description of an argument: shape and dtype. */
export class Spec implements Type {
  /** Use {@link spec}. */
  constructor(readonly shape: Shape, readonly dtype: DType) {}

  /** Such as `f32[2, 3]`. */
  toString(): string {
    return formatType(this);
  }

  static {
    showAsText(this);
  }
}

/**
 * Describes an argument of a program.
 * @param shape Extents, outermost first; `[]` for a scalar.
 * @param dtype Element type. Default: f32.
 * @throws {ShapeError} if an extent is not a non-negative integer.
 * @throws {DTypeError} if the dtype is invalid.
 */
export function spec(shape: Shape, dtype: DType = "f32"): Spec {
  checkShape(shape, "make a spec");
  checkDType(dtype, `make a spec of shape ${formatShape(shape)}`);
  return new Spec([...shape], dtype);
}

/** Whether a value is a spec: the leaf test of trees of specs. */
export function isSpec(value: unknown): value is Spec {
  return value instanceof Spec;
}

/** A traced function: its graph and how arguments and results are nested. */
export interface Traced {
  /** @internal What the function computes. */
  readonly graph: Graph;
  /** @internal How the arguments are nested. */
  readonly inputTree: TreeSpec;
  /** @internal How the results are nested. */
  readonly outputTree: TreeSpec;
  /** Paths of the results' leaves, for error messages. */
  readonly outputPaths: readonly string[];
}

/** The specs that fit a function's arguments. */
export type SpecsOf<Args extends readonly unknown[]> = { [K in keyof Args]: MapTree<Args[K], Tensor, Spec> };

/**
 * Traces a function: calls it once with symbolic tensors and keeps what it did.
 * @param fn A function of trees of tensors that returns a tree of tensors.
 * @param specs One tree of specs per argument.
 * @throws {CompileError} if it returns anything but tensors of this trace.
 */
export function trace<Args extends readonly unknown[]>(fn: (...args: Args) => unknown, specs: SpecsOf<Args>): Traced {
  checkFunction("trace", fn);
  checkList("trace for specs", specs);
  const context = new TraceContext();
  return withContext(context, () => {
    const { leaves, paths, spec: inputTree } = flatten(specs, isSpec, "an argument's spec");
    const inputs = leaves.map((type) => parameter(context, type));
    const result = fn(...unflatten(inputTree, inputs) as unknown as Args);
    if (result instanceof Promise) {
      throw new CompileError("Cannot trace an async function: a program's function must return its tensors at once");
    }
    const { leaves: outputs, paths: outputPaths, spec: outputTree } = flatten(result, isTensor, "a program's result");
    for (const output of outputs) {
      if (output.node.context !== context) {
        throw new CompileError(`Cannot return ${output}: it belongs to another trace`);
      }
    }
    return { graph: new Graph(inputs, outputs, paths), inputTree, outputTree, outputPaths };
  });
}
