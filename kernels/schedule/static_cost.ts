/**
 * Estimates the cost of computing an element of a tensor in place, in memory accesses.
 *
 * A cost lists the distinct loads and operations that an element depends on, each keyed by the path of views through
 * which it is reached: the same tensor at two indices counts twice, but reached twice at one index it counts once. This
 * predicts the size of the pulled expression.
 */
import { type Expr, ExprBuilder, operandsOf, TRANSCENDENTAL } from "../../core/expr.ts";
import type { Node, Tensor } from "../../core/graph.ts";
import { constantIndex } from "../../core/index_expr.ts";
import type { MapOp } from "../../core/op.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { reductionOf } from "./normalize.ts";
import { MAX_HEIGHT, MAX_TEXT } from "./limits.ts";
import { isAnchor, isLoaded, isTrivial, type Scope } from "./scope.ts";
import { viewShape } from "./views.ts";

/** Costs by item. Keys of loads start with `L`, those of arithmetic with sines or cosines with `S`. */
export type StaticCost = ReadonlyMap<string, number>;

const LOAD = 1;
/** The cost of a load through a broadcast, which neighbours share in a register or a cache. */
const SHARED = 0.25;
/** The cost of a value that is uniform over a kernel, which is computed at most once per tile. */
const UNIFORM = 1 / 16;
const SIMPLE = 1 / 16;
const EXPENSIVE = 1 / 2;
/**
 * Sines and cosines, which support arguments of any magnitude, generate by far the most code: a driver takes about 40
 * ms to compile each, compared with 1 ms for an exponential.
 */
const LONG_TEXT = 1;

/** With more items or loads than this, a tensor is too large to be pulled into others. */
const MAX_ITEMS = 1024;
const MAX_LOADS = 24;

/** The costs of the tensors of a scope, given which of them are materialized. */
export class StaticCosts {
  #known = new Map<Tensor, StaticCost>();
  #heights = new Map<Tensor, number>();
  #numbers = new Map<Tensor, number>();
  #moved = new Map<string, string>();

  /** @param scope With the tensors that are materialized. When more are added, call {@link forget}. */
  constructor(readonly scope: Scope & { readonly stored: ReadonlySet<Tensor> }) {}

  /** The cost of reading an element of `tensor`. Querying tensors in topological order keeps recursion shallow. */
  of(tensor: Tensor): StaticCost {
    let cost = this.#known.get(tensor);
    if (!cost) {
      cost = this.#compute(tensor);
      this.#known.set(tensor, cost);
    }
    return cost;
  }

  /** Marks a tensor as loaded from now on. */
  forget(tensor: Tensor): void {
    this.#known.delete(tensor);
    this.#heights.delete(tensor);
  }

  /** Nodes on the longest path from an element of a tensor to what is loaded. */
  heightOf(tensor: Tensor): number {
    let height = this.#heights.get(tensor);
    if (height === undefined) {
      const binding = this.scope.bindings.get(tensor);
      const isLeaf = isLoaded(this.scope, tensor) || isAnchor(tensor.node);
      height = isLeaf
        ? 0
        : binding?.kind === "outer"
        ? this.scope.parent!.costs.heightOf(binding.tensor)
        : this.heightBelow(tensor.node);
      this.#heights.set(tensor, height);
    }
    return height;
  }

  /** The height of an element if it is computed, whether or not it is materialized. */
  heightBelow({ inputs }: Node): number {
    return 1 + Math.max(0, ...inputs.map((input) => this.heightOf(input)));
  }

  /** The cost of computing an element of a node's result, or one term of its sums. */
  below(node: Node): StaticCost {
    return isAnchor(node)
      ? new Map(node.inputs.flatMap((input) => [...this.of(input)]))
      : this.#expand(node.outputs[0]);
  }

  /** Whether the path below an element is too long for passes that recurse along it. */
  isHigh(tensor: Tensor): boolean {
    return this.heightOf(tensor) > MAX_HEIGHT;
  }

  /** The cost of an element if it had to be computed, whether or not it is materialized. */
  costToCompute(tensor: Tensor): number {
    return costOf(this.#expand(tensor));
  }

  #number(tensor: Tensor): number {
    let number = this.#numbers.get(tensor);
    if (number === undefined) this.#numbers.set(tensor, number = this.#numbers.size);
    return number;
  }

  /** The key of an item that is reached through one more step. */
  #through(key: string, step: string): string {
    const path = `${key}>${step}`;
    let moved = this.#moved.get(path);
    // Interned, since keys that spelled out entire paths would grow with their length.
    if (moved === undefined) this.#moved.set(path, moved = `${key[0]}.${this.#moved.size}`);
    return moved;
  }

  #compute(tensor: Tensor): StaticCost {
    const binding = this.scope.bindings.get(tensor);
    if (isLoaded(this.scope, tensor)) return new Map([[`L${this.#number(tensor)}`, LOAD]]);
    if (binding?.kind === "outer") {
      return new Map(
        [...this.scope.parent!.costs.of(binding.tensor)].map(([key, cost]) => [`${key[0]}^${key.slice(1)}`, cost]),
      );
    }
    return this.#expand(tensor);
  }

  #expand(tensor: Tensor): StaticCost {
    const { node } = tensor;
    switch (node.op.kind) {
      case "map":
        return this.#mapped(node, node.op);
      case "view":
        return this.#viewed(node);
      case "reduce":
        return isTrivial(node) ? this.#summed(node) : new Map([[`L${this.#number(tensor)}`, LOAD]]);
      case "gather":
        return this.#combined(node, `A${this.#number(tensor)}`, EXPENSIVE);
      case "source":
        return new Map([[`A${this.#number(tensor)}`, SIMPLE]]);
      default:
        return new Map([[`L${this.#number(tensor)}`, LOAD]]);
    }
  }

  #mapped(node: Node, op: MapOp<typeof node.attrs>): StaticCost {
    const { cost, hasSine } = mapCost(node, op);
    return this.#combined(node, `${hasSine ? "S" : "A"}${this.#number(node.outputs[0])}`, cost);
  }

  #combined(node: Node, key: string, cost: number): StaticCost {
    const out = new Map([[key, cost]]);
    for (const input of node.inputs) for (const [item, itemCost] of this.of(input)) out.set(item, itemCost);
    return out;
  }

  /** The cost of an unrolled sum. */
  #summed(node: Node): StaticCost {
    const number = this.#number(node.outputs[0]);
    const out = new Map([[`A${number}`, SIMPLE]]);
    for (let term = 0; term < sizeOfShape(reductionOf(node).rowShape); term++) {
      for (const [key, cost] of this.of(node.inputs[0])) out.set(this.#through(key, `${number}.${term}`), cost);
    }
    return out;
  }

  #viewed(node: Node): StaticCost {
    const out = new Map<string, number>();
    const { pieces } = viewShape(node)!;
    const number = this.#number(node.outputs[0]);
    pieces.forEach(({ input }, piece) => {
      const from = node.inputs[input];
      const inSize = sizeOfShape(from.shape), isShared = inSize < sizeOfShape(node.outputs[0].shape);
      for (const [key, cost] of this.of(from)) {
        const factor = !isShared || pieces.length > 1 ? 1 : inSize === 1 ? UNIFORM : key[0] === "L" ? SHARED : 1;
        out.set(this.#through(key, `${number}.${piece}`), cost * factor);
      }
    });
    return out;
  }
}

/** The total cost of reading a tensor. */
export function costOf(cost: StaticCost): number {
  let sum = 0;
  for (const item of cost.values()) sum += item;
  return sum;
}

/** A cost, summarised. */
export interface Summary {
  /** Loads of full tensors, and loads through broadcasts. */
  readonly loads: number;
  readonly shared: number;
  /** The cost of everything else. */
  readonly arithmetic: number;
  /** The code size in a kernel. */
  readonly text: number;
}

/** Summarises a cost. */
export function summaryOf(cost: StaticCost): Summary {
  let loads = 0, shared = 0, arithmetic = 0, text = 0;
  for (const [key, item] of cost) {
    text += textOf(key, item);
    if (key[0] !== "L") arithmetic += item;
    else if (item < LOAD) shared++;
    else loads++;
  }
  return { loads, shared, arithmetic, text };
}

/** The code size of one item. */
export function textOf(key: string, cost: number): number {
  return key[0] === "L" ? 0 : key[0] === "S" ? cost + LONG_TEXT : cost;
}

/** Whether an expression is too large to be part of another one. */
export function isHeavy(cost: StaticCost): boolean {
  if (cost.size > MAX_ITEMS) return true;
  const { loads, shared, text } = summaryOf(cost);
  return loads + shared > MAX_LOADS || text > MAX_TEXT;
}

/** The fraction of evaluations that count when a tensor is read through a view. */
export function sharing(inSize: number, outSize: number): number {
  return inSize < outSize && inSize === 1 ? UNIFORM : 1;
}

interface MapCost {
  readonly cost: number;
  readonly hasSine: boolean;
}

const mapCosts = new WeakMap<Node, MapCost>();

/** The cost of a map op, derived from its expression. */
function mapCost(node: Node, op: MapOp<typeof node.attrs>): MapCost {
  const present = mapCosts.get(node);
  if (present !== undefined) return present;
  const e = new ExprBuilder();
  let cost = 0, hasSine = false;
  const seen = new Set<Expr>();
  const visit = (expr: Expr): void => {
    if (seen.has(expr)) return;
    seen.add(expr);
    if (expr.kind === "unary") hasSine ||= expr.op === "sin" || expr.op === "cos";
    if (expr.kind === "unary" || expr.kind === "binary") cost += TRANSCENDENTAL.has(expr.op) ? EXPENSIVE : SIMPLE;
    else if (expr.kind === "select") cost += SIMPLE;
    operandsOf(expr).forEach(visit);
  };
  visit(op.lower(e, node.inputs.map((input, i) => e.load(i, constantIndex(0), input.dtype)), node.attrs));
  const made = { cost, hasSine };
  mapCosts.set(node, made);
  return made;
}
