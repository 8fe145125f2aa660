/**
 * Decides which materialized tensors share a kernel.
 *
 * Nodes are visited in topological order. A node joins one of the fusions that it reads if each element it reads from
 * the fusion is computed by the same invocation, if fusing creates no cyclic dependency, and if the kernel stays within
 * its operand limit. Products, recurrences and reductions start fusions that their elementwise consumers join;
 * reductions over the same rows share a fusion, and so do elementwise tensors of equal shape that read the same
 * tensors. A member that is only read within its fusion is never stored. A member that is compared exactly can only be
 * read by other fusions (exact.ts).
 */
import type { Node, Tensor } from "../../core/graph.ts";
import { substituteIndex, type Var, varIndex } from "../../core/index_expr.ts";
import { sameShape, sizeOfShape } from "../../core/shape.ts";
import type { Accesses, Reads } from "./access.ts";
import { align, coversAll, inverted, isOncePerPoint, isWalkedAlike, levelOf, readsOwn } from "./align.ts";
import { digitsOf, offsetOf } from "./digits.ts";
import { extentsOf, type Fusion, type Member, workOf } from "./fusion.ts";
import { inOrder } from "./fusion_order.ts";
import { FusionSet } from "./fusion_set.ts";
import type { Materialized } from "./materialize.ts";
import { reductionOf } from "./normalize.ts";
import { isAnchor } from "./scope.ts";

/** The fusions of a scope. */
export interface Fused {
  /** In execution order. */
  readonly fusions: readonly Fusion[];
  /** Whether a tensor is read outside its fusion. */
  readonly isRead: (tensor: Tensor) => boolean;
}

/**
 * Assigns all materialized tensors to fusions.
 * @param accesses The reads of each tensor.
 */
export function fuse(scope: Materialized, accesses: Accesses, maxOperands: number): Fused {
  const set = new FusionSet(scope, accesses, maxOperands);
  new Fuser(set).run();
  return { fusions: inOrder(set.all, set.order), isRead: (tensor) => set.isStored(tensor) };
}

/** Kernels with fewer elements take little longer than their launch. */
const SMALL_WORK = 131072;
/** Tensors more expensive than this are not recomputed in every pass over a row. */
const CHEAP_PROLOGUE = 4;

/** The state of fusing one scope. */
class Fuser {
  readonly #order: FusionSet["order"];

  constructor(readonly set: FusionSet) {
    this.#order = set.order;
  }

  run(): void {
    const { scope, accesses } = this.set;
    for (const [node, reads] of accesses.reads) {
      if (node.outputs.every(({ shape }) => sizeOfShape(shape) === 0)) continue;
      if (scope.assembled.has(node) || scope.passing.has(node)) this.set.found("none", reads);
      else if (!isAnchor(node)) this.#placeMap(reads);
      else if (node.op.kind === "reduce") this.#placeReduction(reads);
      else if (node.op.kind === "recurrence") this.#placeRecurrence(reads);
      else this.set.found(node.op.kind as Fusion["kind"], reads);
    }
    this.#mergeAll();
  }

  #placeMap(reads: Reads): void {
    const [output] = reads.node.outputs;
    const candidates = this.set.readFusions(reads).filter(({ kind }) => RANK[kind] > 0);
    candidates.sort((a, b) => RANK[b.kind] - RANK[a.kind] || b.depth - a.depth);
    for (const fusion of candidates) if (this.#tryJoin(fusion, reads)) return;
    for (const fusion of this.set.near(this.set.depthAfter(reads))) {
      if (fusion.kind !== "map") continue;
      const [first] = fusion.members.keys();
      if (sameShape(first.shape, output.shape) && this.set.sharesReads(fusion, reads) && this.#tryJoin(fusion, reads)) {
        return;
      }
    }
    this.set.found("map", reads);
  }

  #placeReduction(reads: Reads): void {
    const candidates = this.set.readFusions(reads).filter(({ kind }) => kind === "row");
    candidates.sort((a, b) => b.depth - a.depth);
    let joined = candidates.find((fusion) => this.#tryJoin(fusion, reads));
    if (!joined) {
      for (const fusion of this.set.near(this.set.depthAfter(reads))) {
        if (fusion.kind !== "row") continue;
        const alike = [...fusion.nodes].some((node) => node.op.kind === "reduce" && isAlike(node, reads.node));
        if (alike && this.set.sharesReads(fusion, reads) && this.#tryJoin(fusion, reads)) {
          joined = fusion;
          break;
        }
      }
    }
    this.#absorbInputs(joined ?? this.set.found("row", reads), reads);
  }

  /** Fuses recurrences that iterate alike, if a later one reads earlier ones only at the same point and step. */
  #placeRecurrence(reads: Reads): void {
    const { node, vars } = reads, { shape } = node.outputs[0];
    const digits = digitsOf(offsetOf(reads.index, shape));
    const readFusions = this.set.readFusions(reads), near = this.set.near(this.set.depthAfter(reads));
    const candidates = [...readFusions.filter((fusion) => !near.includes(fusion)), ...near].sort((a, b) =>
      this.#order.numberOf(b) - this.#order.numberOf(a)
    );
    for (const fusion of candidates) {
      if (fusion.kind !== "recurrence" || !digits || !coversAll(digits, vars) || !isWalkedAlike(fusion, node)) continue;
      if (!this.set.hasRoom(fusion, this.set.extentOf(reads))) continue;
      if (!readFusions.includes(fusion) && workOf(fusion) > SMALL_WORK && !this.set.sharesReads(fusion, reads)) {
        continue;
      }
      if (readFusions.some((dependency) => dependency !== fusion && this.#order.reaches(dependency, fusion))) continue;
      const index = fusion.vars.map(varIndex), assign = new Map(inverted(digits!, offsetOf(index, shape)));
      const inside = [...reads.stored].filter(([tensor]) => fusion.members.has(tensor));
      if (!readsOwn(inside, fusion.members, assign) || this.set.operandCount(fusion, reads) > this.set.maxOperands) {
        continue;
      }
      return this.set.add(fusion, reads, { node, index, isPerRow: false });
    }
    this.set.found("recurrence", reads);
  }

  /**
   * Fuses elementwise tensors that a reduction reads, and that have a kernel to themselves so far, into the reduction's
   * kernel.
   */
  #absorbInputs(fusion: Fusion, reads: Reads): void {
    if (fusion.vars !== reads.vars) return;
    for (const [tensor, indices] of reads.stored) {
      const other = this.set.of(tensor.node);
      if (
        !other || other.kind !== "map" || other.members.size > 1 || indices.length !== 1 ||
        this.set.scope.exact.has(tensor)
      ) continue;
      const isPerRow = isOncePerPoint(fusion, tensor, indices[0]);
      if (isPerRow === undefined || this.set.scope.costs.costToCompute(tensor) > CHEAP_PROLOGUE) continue;
      const inputReads = this.set.readsOf(tensor.node);
      if (
        !this.set.hasRoom(fusion, other) || this.#order.hasBetween(fusion, other) ||
        this.set.operandCount(fusion, inputReads) > this.set.maxOperands
      ) continue;
      this.set.remove(other, fusion);
      this.set.add(fusion, inputReads, { node: tensor.node, index: indices[0], isPerRow });
    }
  }

  /**
   * Fuses kernels over equal spaces if one reads the other's results, if they read the same tensors, or if their
   * launches take longer than their work.
   */
  #mergeAll(): void {
    const founded = new Map<string, Fusion[]>();
    for (const fusion of [...this.set.all]) {
      if (fusion.kind !== "map" && fusion.kind !== "row") continue;
      const space = `${fusion.kind} ${fusion.row?.extent} ${extentsOf(fusion.vars)}`, alike = founded.get(space);
      if (!alike) founded.set(space, [fusion]);
      else if (!alike.some((other) => this.#tryMerge(other, fusion))) alike.push(fusion);
    }
  }

  #tryMerge(into: Fusion, fusion: Fusion): boolean {
    if (
      !this.set.hasRoom(into, fusion) || this.#order.hasBetween(into, fusion) || !this.#isWorthMerging(into, fusion)
    ) {
      return false;
    }
    if (
      this.set.operandCount(into, ...[...fusion.nodes].map((node) => this.set.readsOf(node))) > this.set.maxOperands
    ) {
      return false;
    }
    const replace = new Map(fusion.vars.map(({ id }, at) => [id, varIndex(into.vars[at])]));
    if (fusion.row) replace.set(fusion.row.id, varIndex(into.row!));
    const members = new Map(into.members);
    for (const [tensor, member] of fusion.members) {
      members.set(tensor, {
        ...member,
        index: member.index.map((axis) => substituteIndex(axis, replace)),
      });
    }
    if (![...members.values()].every(({ node }) => this.#fits(this.set.readsOf(node), members, into.row))) return false;
    this.set.merge(into, fusion, members);
    return true;
  }

  #isWorthMerging(into: Fusion, fusion: Fusion): boolean {
    if (
      workOf(into) <= SMALL_WORK || this.set.dependencies(into).has(fusion) || this.set.dependencies(fusion).has(into)
    ) {
      return true;
    }
    return Math.abs(into.depth - fusion.depth) <= 1 &&
      [...fusion.nodes].some((node) => this.set.sharesReads(into, this.set.readsOf(node)));
  }

  /** Whether everything a node reads from its fusion's members is computed by the same invocation. */
  #fits(reads: Reads, members: ReadonlyMap<Tensor, Member>, row: Var | undefined): boolean {
    const inside = [...reads.stored].filter(([tensor]) => members.has(tensor));
    if (inside.length === 0) return true;
    const [output] = reads.node.outputs;
    const digits = digitsOf(offsetOf(reads.index, output.shape));
    if (!digits || !coversAll(digits, reads.vars)) return false;
    const assign = new Map(inverted(digits, offsetOf(members.get(output)!.index, output.shape)));
    if (reads.row) assign.set(reads.row.id, varIndex(row!));
    return readsOwn(inside, members, assign);
  }

  /** The fusions that a node reads from or must run after. */
  #tryJoin(fusion: Fusion, reads: Reads): boolean {
    const isPerRow = levelOf(fusion, reads);
    if (isPerRow === undefined || !this.set.hasRoom(fusion, this.set.extentOf(reads))) return false;
    for (const dependency of this.set.readFusions(reads)) {
      if (dependency !== fusion && this.#order.reaches(dependency, fusion)) return false;
    }
    const index = align(fusion, reads, isPerRow);
    if (!index || this.set.operandCount(fusion, reads) > this.set.maxOperands) return false;
    this.set.add(fusion, reads, { node: reads.node, index, isPerRow });
    return true;
  }
}

/**
 * Priority of the kinds of fusion for elementwise consumers: the result of a product is the most expensive to store and
 * reload.
 */
const RANK: Readonly<Record<Fusion["kind"], number>> = {
  contract: 4,
  recurrence: 3,
  row: 2,
  map: 1,
  scatter: 0,
  loop: 0,
  none: 0,
};

function isAlike(a: Node, b: Node): boolean {
  return sameShape(a.inputs[0].shape, b.inputs[0].shape) && sameShape(reductionOf(a).axes, reductionOf(b).axes);
}
