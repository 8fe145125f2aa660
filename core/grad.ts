/**
 * Reverse-mode differentiation as graph building.
 *
 * `grad(f)` calls `f` on marked copies of the arguments it differentiates, walks back from the result to the marks, and
 * emits the cotangents as ordinary nodes of the same trace. A mark is an identity with a unique number: it
 * distinguishes the path through this argument from every other path by which the same tensor can reach the result (a
 * closure, another argument), and outer gradients pass through it. Gradients therefore nest to any order, and nothing
 * is ever stopped implicitly.
 */
import { aliasOp } from "./alias.ts";
import { isFloat } from "./dtype.ts";
import { CompileError, DTypeError, invariant, ShapeError } from "./errors.ts";
import { apply, currentContext, isTensor, type Node, type Tensor } from "./graph.ts";
import { accumulate, fill } from "./linear.ts";
import { checkOptions, optionNames } from "./options.ts";
import { formatType, sameShape } from "./shape.ts";
import { flatten, sameTree, type TreeSpec, unflatten } from "./tree.ts";
import { checkFunction } from "./describe.ts";

const markOp = aliasOp("mark", { start: 0, end: 1 }, ({ cotangents }) => cotangents);

/** An identity that is never merged with another node: a point at which a gradient can stop. Later passes remove it. */
export function mark(x: Tensor): Tensor {
  return apply(markOp, [x], { id: currentContext().unique() });
}

/**
 * The cotangents of `wrt`, given those of `outputs`; undefined if there is no path. Visits each node once, starting
 * from the outputs.
 * @param outputs Results to start from.
 * @param cotangents One for each output, of its type; undefined for none.
 * @param wrt Tensors at which to stop.
 * @param known Equal tensors that gradients should read instead of a node's outputs, so that the node is not
 * recomputed.
 * @throws {CompileError} if a primitive on the way has no gradient.
 */
export function backpropagate(
  outputs: readonly Tensor[],
  cotangents: readonly (Tensor | undefined)[],
  wrt: readonly Tensor[],
  known: ReadonlyMap<Tensor, Tensor> = new Map(),
): (Tensor | undefined)[] {
  const targets = new Set(wrt);
  const { order, depends } = dependents(outputs, targets);
  const arrived = new Map<Tensor, Tensor>();
  const arrive = (tensor: Tensor, cotangent: Tensor | undefined): void => {
    const sum = accumulate(arrived.get(tensor), cotangent);
    if (sum) arrived.set(tensor, sum);
  };
  outputs.forEach((output, i) => arrive(output, cotangents[i]));
  for (const node of order) {
    const incoming = node.outputs.map((output) => (targets.has(output) ? undefined : arrived.get(output)));
    if (incoming.every((cotangent) => cotangent === undefined)) continue;
    const needs = node.inputs.map((input) => isFloat(input.dtype) && (targets.has(input) || depends.has(input.node)));
    if (!needs.includes(true)) continue;
    const { vjp } = node.op;
    if (typeof vjp !== "function") {
      if (vjp.zero) continue;
      throw new CompileError(`Cannot differentiate ${node.op.name} ${formatType(node.outputs[0])}: ${vjp.reason}`);
    }
    const made = node.outputs.map((output) => known.get(output) ?? output);
    const results = vjp({ inputs: node.inputs, outputs: made, attrs: node.attrs, cotangents: incoming, needs });
    node.inputs.forEach((input, i) => {
      const cotangent = results[i];
      if (!needs[i] || !cotangent) return;
      invariant(
        cotangent.dtype === input.dtype && sameShape(cotangent.shape, input.shape),
        `the vjp of ${node.op.name} gave ${formatType(cotangent)} for an input ${formatType(input)}`,
      );
      arrive(input, cotangent);
    });
  }
  return wrt.map((tensor) => arrived.get(tensor));
}

/** The nodes on paths from `targets` to `outputs`, last first. */
function dependents(
  outputs: readonly Tensor[],
  targets: ReadonlySet<Tensor>,
): { order: readonly Node[]; depends: ReadonlySet<Node> } {
  const seen = new Set<Node>();
  const stack = outputs.filter((output) => !targets.has(output)).map((output) => output.node);
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) if (!targets.has(input)) stack.push(input.node);
  }
  const ascending = [...seen].sort((a, b) => a.id - b.id);
  const depends = new Set<Node>();
  for (const node of ascending) {
    if (node.inputs.some((input) => isFloat(input.dtype) && (targets.has(input) || depends.has(input.node)))) {
      depends.add(node);
    }
  }
  return { order: ascending.filter((node) => depends.has(node)).reverse(), depends };
}

/** Which arguments to differentiate. */
export interface GradOptions {
  /** Positions of arguments. Default: the first. */
  readonly argnums?: number | readonly number[];
}

const GRAD_OPTIONS = optionNames<GradOptions>({ argnums: true });

/** A function of trees of tensors; its own types are kept by inference. */
// deno-lint-ignore no-explicit-any -- no narrower type accepts every such function
export type TreeFunction = (...args: any[]) => unknown;

/** The gradient of a function: like the differentiated argument, or a list of gradients if several are named. */
export type GradOf<F extends TreeFunction, O extends GradOptions> = O extends { readonly argnums: readonly number[] }
  ? Parameters<F>[number][]
  : O extends { readonly argnums: infer N extends number } ? Parameters<F>[N]
  : Parameters<F>[0];

/**
 * What {@link valueAndGrad} returns: the value (and auxiliary results, as the function returns them) and the gradient.
 */
export type ValueAndGrad<F extends TreeFunction, O extends GradOptions> = [ReturnType<F>, GradOf<F, O>];

/**
 * The value and the gradient of a scalar function.
 * @param fn Takes trees of tensors; returns a scalar float tensor, or an array `[scalar, ...auxiliary]` of which the
 * first is differentiated.
 * @param options Which arguments to differentiate; their leaves must be floats.
 * @returns A function of the same arguments that returns `[fn(...), gradient]`.
 * @throws {ShapeError | DTypeError | CompileError} when the returned function is traced: a result that is not a float
 * scalar, arguments that are not floats.
 */
export function valueAndGrad<F extends TreeFunction, const O extends GradOptions = Record<never, never>>(
  fn: F,
  options?: O,
): (...args: Parameters<F>) => ValueAndGrad<F, O> {
  checkFunction("differentiate", fn);
  checkOptions("grad", options, GRAD_OPTIONS);
  const argnums = options?.argnums ?? 0;
  const positions = typeof argnums === "number" ? [argnums] : argnums;
  return (...args) => {
    const marked = markArguments(args, positions);
    const result = fn(...marked.args);
    const loss = Array.isArray(result) ? result[0] : result;
    checkLoss(loss);
    const cotangents = backpropagate([loss], [fill(loss, 1)], marked.leaves);
    const gradients = cotangents.map((cotangent, i) => cotangent ?? fill(marked.leaves[i], 0));
    let next = 0;
    const trees = marked.specs.map(({ spec, count }) => unflatten(spec, gradients.slice(next, next += count)));
    return [result, typeof argnums === "number" ? trees[0] : trees] as ValueAndGrad<F, O>;
  };
}

/**
 * The gradient of a scalar function; see {@link valueAndGrad}.
 * @example
 * ```ts
 * import { grad } from "@mneme/titans";
 * import type { Tensor } from "@mneme/titans";
 * import { mul, sum } from "@mneme/titans/ops";
 * const square = (x: Tensor) => sum(mul(x, x));
 * const twice = grad(square); // x -> 2 x, once traced by compile()
 * ```
 */
export function grad<F extends TreeFunction, const O extends GradOptions = Record<never, never>>(
  fn: F,
  options?: O,
): (...args: Parameters<F>) => GradOf<F, O> {
  const both = valueAndGrad(fn, options);
  return (...args) => both(...args)[1] as GradOf<F, O>;
}

/**
 * The value of a function of one tree and the map from cotangents of its result to cotangents of its argument.
 * @param fn Takes a tree of float tensors, returns a tree of tensors.
 * @param primal Where to linearise.
 * @returns `[fn(primal), pullback]`; the pullback takes a tree like the result and returns one like the argument.
 */
export function vjp<A, R>(fn: (arg: A) => R, primal: A): [R, (cotangent: R) => A] {
  checkFunction("call vjp with", fn);
  const marked = markArguments([primal], [0]);
  const result = fn(marked.args[0] as A);
  const out = flatten(result, isTensor, "a function's result");
  const pullback = (cotangent: R): A => {
    const given = flatten(cotangent, isTensor, "a cotangent");
    if (!sameTree(given.spec, out.spec)) {
      throw new CompileError("Cannot pull back a cotangent whose structure differs from the function's result");
    }
    const cotangents = backpropagate(out.leaves, given.leaves, marked.leaves);
    return unflatten(marked.specs[0].spec, cotangents.map((tensor, i) => tensor ?? fill(marked.leaves[i], 0))) as A;
  };
  return [result, pullback];
}

function markArguments(args: readonly unknown[], positions: readonly number[]): {
  args: unknown[];
  leaves: Tensor[];
  specs: { spec: TreeSpec; count: number }[];
} {
  const out = [...args];
  const leaves: Tensor[] = [];
  const specs = positions.map((position) => {
    if (!(position in args)) {
      throw new CompileError(
        `Cannot differentiate argument ${position}: the function was called with ${args.length} arguments`,
      );
    }
    const flat = flatten(args[position], isTensor, `argument ${position}`);
    const marks = flat.leaves.map((leaf, i) => {
      if (!isFloat(leaf.dtype)) {
        throw new DTypeError(
          `Cannot differentiate argument ${position}${flat.paths[i] && ` at ${flat.paths[i]}`} ${
            formatType(leaf)
          }: only floats have gradients`,
          [leaf.dtype],
        );
      }
      return mark(leaf);
    });
    out[position] = unflatten(flat.spec, marks);
    leaves.push(...marks);
    return { spec: flat.spec, count: marks.length };
  });
  return { args: out, leaves, specs };
}

function checkLoss(loss: unknown): asserts loss is Tensor {
  if (!isTensor(loss)) {
    throw new CompileError(
      "Cannot differentiate a function that does not return a tensor, or an array that starts with one",
    );
  }
  if (loss.rank !== 0) {
    throw new ShapeError(
      `Cannot differentiate a result ${
        formatType(loss)
      }: it must be a scalar, has rank ${loss.rank}; reduce it with sum() or mean(), or use vjp()`,
      [loss.shape],
    );
  }
  if (!isFloat(loss.dtype)) {
    throw new DTypeError(`Cannot differentiate a result ${formatType(loss)}: only floats have gradients`, [loss.dtype]);
  }
}
