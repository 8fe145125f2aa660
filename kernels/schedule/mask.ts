/** Finds the unmasked terms of a product: those where no factor is known to be zero and where the sum is read. */
import { type Expr, ExprBuilder } from "../../core/expr.ts";
import type { Tensor } from "../../core/graph.ts";
import { constantIndex, type Index, substituteIndex } from "../../core/index_expr.ts";
import { MAX_INDEX_SIZE, MAX_LOOK_HEIGHT } from "./limits.ts";
import type { PlanNode } from "./normalize.ts";
import { Puller } from "./pull.ts";
import { RegionFinder } from "./find_region.ts";
import { EVERYWHERE, intersection, mapRegion, NOWHERE, type Region, union } from "./region.ts";
import type { Materialized } from "./materialize.ts";
import { isAnchor, isConstant } from "./scope.ts";

/** An element of a tensor. */
export interface Element {
  readonly tensor: Tensor;
  readonly index: readonly Index[];
}

/** A product as its kernel computes it. */
export interface ProductParts {
  readonly product: PlanNode;
  /** The product's operands. */
  readonly factors: readonly Element[];
  /** The stored parts of its result. */
  readonly results: readonly Element[];
  /** Whether the kernel computes a tensor rather than loading it. */
  isOwn(tensor: Tensor): boolean;
}

/** Number of tensors to examine before those in memory are no longer expanded. */
const MAX_LOOKS = 1024;

/**
 * The unmasked terms of a product.
 *
 * Factors are also examined beyond what the kernel computes: a tensor stored by an earlier kernel is zero wherever its
 * expression is.
 */
export function maskOf(scope: Materialized, parts: ProductParts): Region {
  const { factors, results } = parts;
  if (![...factors, ...results].some(({ tensor }) => isMasked(scope, tensor))) return EVERYWHERE;
  const look = new Look(scope, parts), finder = new RegionFinder();
  const nonzero = factors.map((factor) => finder.nonzero(look.at(factor))).reduce(intersection);
  const read = results.map((result) => finder.reads(look.at(result))).reduce(union, NOWHERE);
  const { guards } = look.puller;
  return mapRegion(intersection(nonzero, read), (index) => substituteIndex(index, guards));
}

/** Pulls expressions through tensors in memory, down to tensors that have no expression. */
class Look {
  readonly puller: Puller<Materialized>;
  #opaque = new Map<Tensor, Expr>();
  #looks = 0;

  constructor(readonly scope: Materialized, readonly parts: ProductParts) {
    this.puller = new Puller(new ExprBuilder(), (scope, tensor, index) => this.#leaf(scope, tensor, index));
  }

  at({ tensor, index }: Element): Expr {
    return this.puller.pull(this.scope, tensor, index);
  }

  #leaf(scope: Materialized, tensor: Tensor, index: readonly Index[]): Expr | undefined {
    // Beyond the search limit nothing is known about the tensor; it may even depend on the product.
    if (this.puller.height > MAX_LOOK_HEIGHT || index.some(({ size }) => size > MAX_INDEX_SIZE)) {
      return this.puller.e.accumulator(tensor.dtype);
    }
    const { node } = tensor, binding = scope.bindings.get(tensor);
    if (scope === this.scope && node === this.parts.product) return this.puller.e.accumulator(tensor.dtype);
    if (scope === this.scope && this.parts.isOwn(tensor)) return undefined;
    if (binding?.kind === "outer") return undefined;
    const ends = binding !== undefined || isConstant(tensor) || isAnchor(node) || node.op.kind === "gather";
    const isEnough = scope.stored.has(tensor) && (this.#looks++ > MAX_LOOKS || !isMasked(scope, tensor));
    return ends || isEnough ? this.#unknown(tensor) : undefined;
  }

  #unknown(tensor: Tensor): Expr {
    let expr = this.#opaque.get(tensor);
    if (!expr) this.#opaque.set(tensor, expr = this.puller.e.load(this.#opaque.size, constantIndex(0), tensor.dtype));
    return expr;
  }
}

const maskedTensors = new WeakMap<Materialized, ReadonlySet<Tensor>>();

/** Whether an element of a tensor depends on conditions, through maps and views only. */
export function isMasked(scope: Materialized, tensor: Tensor): boolean {
  let masked = maskedTensors.get(scope);
  if (!masked) maskedTensors.set(scope, masked = findMasked(scope));
  return masked.has(tensor);
}

function findMasked(scope: Materialized): ReadonlySet<Tensor> {
  const masked = new Set<Tensor>();
  for (const [tensor, binding] of scope.bindings) {
    if (binding.kind === "outer" && isMasked(scope.parent!, binding.tensor)) masked.add(tensor);
  }
  for (const node of scope.graph.nodes) {
    const takesPart = node.op.kind === "map" || node.op.kind === "view";
    for (const output of node.outputs) {
      if (output.dtype === "bool" || (takesPart && node.inputs.some((input) => masked.has(input)))) masked.add(output);
    }
  }
  return masked;
}
