/** Pulling: builds the expression of a tensor's element by substituting the expressions of its inputs. */
import { isFloat } from "../../core/dtype.ts";
import { type Expr, type ExprBuilder, identityOf } from "../../core/expr.ts";
import { invariant } from "../../core/errors.ts";
import type { Node, Tensor } from "../../core/graph.ts";
import {
  addIndex,
  constantIndex,
  type Index,
  makeVar,
  recombine,
  splitIndex,
  substituteIndex,
  valueIndex,
  varIndex,
} from "../../core/index_expr.ts";
import type { GatherOp, ViewOp, ViewPiece } from "../../core/op.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { elementOf } from "./element.ts";
import { reductionOf } from "./normalize.ts";
import { isTrivial, type Scope } from "./scope.ts";

/** A scope whose tensors are pulled; S is also the type of the enclosing scope. */
type Pulled<S> = Pick<Scope, "bindings"> & { readonly parent?: S };

/**
 * Returns the expression of a tensor that must not be expanded (a load, an accumulator or a reduction), or undefined to
 * expand it.
 */
export type Leaf<S> = (scope: S, tensor: Tensor, index: readonly Index[]) => Expr | undefined;

/** Pulls expressions for one kernel. */
export class Puller<S extends Pulled<S>> {
  /** Nodes that were expanded. */
  readonly visited = new Set<Node>();
  /**
   * Stand-ins for indices that a condition confines to a range, by id, and the indices that they replace. Under the
   * condition `0 <= i - 3 < 64`, the index `i - 3` becomes a variable of extent 64, so that divisions by 64 simplify.
   * They are substituted back after pulling.
   */
  readonly guards = new Map<number, Index>();
  /** Tensors that must be computed first, by scope: inputs of views that no piece refers to. */
  readonly awaited: { readonly scope: S; readonly tensor: Tensor }[] = [];
  /** Number of nodes between the requested tensor and the one that is being pulled. */
  height = 0;
  #guardOf = new Map<string, Index>();
  #memo = new Map<S, Map<Tensor, Map<string, Expr>>>();

  /**
   * @param e The kernel's expression builder.
   * @param leaf Where pulling stops. It must stop at every tensor that has no expression.
   */
  constructor(readonly e: ExprBuilder, readonly leaf: Leaf<S>) {}

  /** The expression of the element of `tensor` at `index`. */
  pull(scope: S, tensor: Tensor, index: readonly Index[]): Expr {
    const at = index.map(recombine);
    const key = at.map((axis) => axis.key).join(",");
    const memo = this.#memoOf(scope, tensor);
    let expr = memo.get(key);
    if (!expr) {
      this.height++;
      expr = this.leaf(scope, tensor, at) ?? this.#expand(scope, tensor, at);
      this.height--;
      memo.set(key, expr);
    }
    return expr;
  }

  #memoOf(scope: S, tensor: Tensor): Map<string, Expr> {
    let ofScope = this.#memo.get(scope);
    if (!ofScope) this.#memo.set(scope, ofScope = new Map());
    let ofTensor = ofScope.get(tensor);
    if (!ofTensor) ofScope.set(tensor, ofTensor = new Map());
    return ofTensor;
  }

  #expand(scope: S, tensor: Tensor, index: readonly Index[]): Expr {
    const binding = scope.bindings.get(tensor);
    if (binding) {
      invariant(binding.kind === "outer" && scope.parent, `${tensor} is an input and must be loaded`);
      return this.pull(scope.parent, binding.tensor, [...binding.prefix, ...index]);
    }
    const { node } = tensor, { op } = node;
    this.visited.add(node);
    const element = elementOf(this.e, node, index, (input) => this.pull(scope, input, index));
    if (element) return element;
    switch (op.kind) {
      case "view":
        return this.#view(scope, node, op, index);
      case "gather":
        return this.#gather(scope, node, op, index);
      case "reduce":
        return this.#trivialReduction(scope, node, index);
      case "contract":
        return this.e.const(0, tensor.dtype);
      default:
        invariant(false, `${tensor} cannot be pulled`);
    }
  }

  #view(scope: S, node: Node, op: ViewOp<typeof node.attrs>, index: readonly Index[]): Expr {
    const { e } = this;
    const { pieces, fill } = op.lower(index, node.attrs, node.inputs.map((input) => input.shape));
    for (const tensor of unread(node, pieces)) this.awaited.push({ scope, tensor });
    let out: Expr = e.const(fill, node.outputs[0].dtype);
    for (const { input, index: at, where } of pieces.toReversed()) {
      const from = node.inputs[input];
      if (sizeOfShape(from.shape) === 0) continue;
      let inside: Expr = e.const(1, "bool");
      let guarded = at.map(recombine);
      for (const { index: tested, lo, hi } of where) {
        const range = recombine(tested), test = e.inRange(range, lo, hi);
        inside = isConst(inside, 0)
          ? inside
          : isConst(inside, 1) || isConst(test, 0)
          ? test
          : isConst(test, 1)
          ? inside
          : e.binary("and", inside, test);
        if (test.kind !== "const") {
          guarded = guarded.map((axis) => (axis.key === range.key ? this.#guard(range, lo, hi) : axis));
        }
      }
      if (!isConst(inside, 0)) out = e.select(inside, this.pull(scope, from, guarded), out);
    }
    return out;
  }

  #guard(range: Index, lo: number, hi: number): Index {
    // A run-time value belongs to this kernel's expressions and cannot be part of a substitution.
    if (readsValue(range)) return range;
    const key = `${range.key},${lo},${hi}`;
    let guard = this.#guardOf.get(key);
    if (!guard) {
      const variable = makeVar("g", hi - lo);
      this.guards.set(variable.id, addIndex(substituteIndex(range, this.guards), -lo));
      guard = addIndex(varIndex(variable), lo);
      this.#guardOf.set(key, guard);
    }
    return guard;
  }

  #gather(scope: S, node: Node, op: GatherOp<typeof node.attrs>, index: readonly Index[]): Expr {
    const { e } = this;
    const [operand, indices] = node.inputs, { axis, batch } = op.lower(node.attrs);
    const end = axis + indices.rank - batch;
    const extent = operand.shape[axis], { dtype } = operand;
    const outside = e.const(isFloat(dtype) ? NaN : 0, dtype);
    if (extent === 0) return outside;
    const number = this.pull(scope, indices, [...index.slice(0, batch), ...index.slice(axis, end)]);
    const at = (number: Index): Expr =>
      this.pull(scope, operand, [...index.slice(0, axis), number, ...index.slice(end)]);
    if (number.kind === "const") {
      return number.value >= 0 && number.value < extent ? at(constantIndex(number.value)) : outside;
    }
    if (number.kind === "index" && number.index.min >= 0 && number.index.max < extent) return at(number.index);
    const { clamped, valid } = runTimeIndex(e, number, extent);
    return e.select(valid, at(valueIndex(clamped, 0, extent - 1)), outside);
  }

  #trivialReduction(scope: S, node: Node, index: readonly Index[]): Expr {
    const { e } = this;
    const { combine, axes, rowShape } = reductionOf(node);
    const [x] = node.inputs, [{ dtype }] = node.outputs;
    invariant(isTrivial(node), `${node.outputs[0]} is a reduction and must not be expanded`);
    if (combine === "argmax") return e.const(0, dtype);
    if (rowShape.includes(0)) return e.const(identityOf(combine, dtype), dtype);
    const terms = Array.from({ length: sizeOfShape(rowShape) }, (_, at) => {
      const row = splitIndex(constantIndex(at), rowShape);
      let kept = 0;
      return this.pull(
        scope,
        x,
        x.shape.map((_, axis) => (axes.includes(axis) ? row[axes.indexOf(axis)] : index[kept++])),
      );
    });
    return terms.reduce((sum, term) => e.binary("add", sum, term));
  }
}

/** The inputs of a view that no piece refers to. */
function unread({ inputs }: Node, pieces: readonly ViewPiece[]): readonly Tensor[] {
  if (pieces.length >= inputs.length) return [];
  return inputs.filter((_, i) => !pieces.some(({ input }) => input === i));
}

function readsValue(index: Index): boolean {
  return index.terms.some(({ atom }) => atom.kind === "value" || (atom.kind !== "var" && readsValue(atom.of)));
}

function isConst(expr: Expr, value: number): boolean {
  return expr.kind === "const" && expr.value === value;
}

/**
 * A run-time number as an index: clamped to `0 .. extent - 1` so that it can always be loaded, with a condition that
 * tells whether it was in range.
 */
export function runTimeIndex(
  e: ExprBuilder,
  number: Expr,
  extent: number,
): { readonly clamped: Expr; readonly valid: Expr } {
  // Interpreted as i32, a u32 beyond its range is negative and therefore out of range, as it should be.
  const signed = e.cast(number, "i32");
  const zero = e.const(0, "i32"), last = e.const(extent - 1, "i32");
  const valid = e.binary("and", e.binary("ge", signed, zero), e.binary("le", signed, last));
  return { clamped: e.binary("max", zero, e.binary("min", signed, last)), valid };
}
