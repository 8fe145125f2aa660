/**
 * The fusions of a scope under construction: which fusion each node is in, the order of the fusions, and their limits.
 */
import type { Node, Tensor } from "../../core/graph.ts";
import { makeVar, varIndex } from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { Accesses, Reads } from "./access.ts";
import { extend, type Extent, type Fusion, type Member, textBeside } from "./fusion.ts";
import { FusionOrder } from "./fusion_order.ts";
import { MAX_KERNEL_HEIGHT, MAX_KERNEL_TEXT } from "./limits.ts";
import type { Materialized } from "./materialize.ts";

/** Fusions and their nodes. Invariant: the fusions can be ordered without cycles. */
export class FusionSet {
  readonly all = new Set<Fusion>();
  readonly order = new FusionOrder<Fusion>();
  readonly #ofNode = new Map<Node, Fusion>();
  readonly #byDepth = new Map<number, Set<Fusion>>();
  readonly #extents = new Map<Node, Extent>();

  constructor(readonly scope: Materialized, readonly accesses: Accesses, readonly maxOperands: number) {}

  /** The reads of a node. */
  readsOf(node: Node): Reads {
    return this.accesses.reads.get(node)!;
  }

  /** The fusion of a node; undefined if it has none yet, and for empty tensors. */
  of(node: Node): Fusion | undefined {
    return this.#ofNode.get(node);
  }

  /** The fusions that must run first. */
  dependencies(fusion: Fusion): ReadonlySet<Fusion> {
    return this.order.dependencies(fusion);
  }

  /** Whether a tensor is read outside its fusion. */
  isStored(tensor: Tensor): boolean {
    if (this.scope.outputs.has(tensor)) return true;
    const own = this.#ofNode.get(tensor.node);
    return (this.accesses.readers.get(tensor) ?? []).some((reader) => this.#ofNode.get(reader) !== own);
  }

  /** Makes a fusion of one node. */
  found(kind: Fusion["kind"], reads: Reads): Fusion {
    const { node, vars, row, index } = reads;
    const full = node.outputs[0].shape;
    // Products, recurrences and scatters keep their axes unchanged: their kernels distinguish them.
    const own = kind === "map" || kind === "row" ? vars : full.map((extent, axis) => makeVar(`v${axis}`, extent));
    const fusion: Fusion = {
      kind,
      members: new Map(),
      nodes: new Set(),
      vars: own,
      row,
      depth: this.depthAfter(reads),
      items: new Map(),
      text: 0,
      height: 0,
    };
    this.all.add(fusion);
    this.order.add(fusion);
    this.add(fusion, reads, { node, index: own === vars ? index : own.map(varIndex), isPerRow: kind === "row" });
    return fusion;
  }

  /** Adds a node to a fusion. */
  add(fusion: Fusion, reads: Reads, member: Member): void {
    for (const tensor of reads.node.outputs) {
      fusion.members.set(tensor, this.scope.exact.has(tensor) ? { ...member, isExact: true } : member);
    }
    fusion.nodes.add(reads.node);
    extend(fusion, this.extentOf(reads));
    this.#ofNode.set(reads.node, fusion);
    for (const other of this.readFusions(reads)) this.order.require(fusion, other);
    this.#setDepth(fusion, Math.max(fusion.depth, this.depthAfter(reads, fusion)));
  }

  /** Merges a fusion into another one, whose members are then `members`. */
  merge(into: Fusion, fusion: Fusion, members: ReadonlyMap<Tensor, Member>): void {
    for (const [tensor, member] of members) into.members.set(tensor, member);
    for (const node of fusion.nodes) {
      into.nodes.add(node);
      this.#ofNode.set(node, into);
    }
    this.remove(fusion, into);
    this.#setDepth(into, Math.max(into.depth, fusion.depth));
    extend(into, fusion);
  }

  /** Removes a fusion whose nodes have moved to another one. */
  remove(fusion: Fusion, into: Fusion): void {
    this.all.delete(fusion);
    this.#byDepth.get(fusion.depth)!.delete(fusion);
    this.order.merge(into, fusion);
  }

  #setDepth(fusion: Fusion, depth: number): void {
    this.#byDepth.get(fusion.depth)?.delete(fusion);
    fusion.depth = depth;
    const level = this.#byDepth.get(depth);
    if (level) level.add(fusion);
    else this.#byDepth.set(depth, new Set([fusion]));
  }

  /** Fusions whose depth differs from `depth` by at most one, in the order in which they were created. */
  near(depth: number): Fusion[] {
    const near = [depth - 1, depth, depth + 1].flatMap((level) => [...this.#byDepth.get(level) ?? []]);
    return near.sort((a, b) => this.order.numberOf(a) - this.order.numberOf(b));
  }

  /** The depth of a fusion with the given dependencies. */
  depthAfter(reads: Reads, own?: Fusion): number {
    let depth = 0;
    for (const fusion of this.readFusions(reads)) {
      if (fusion !== own) depth = Math.max(depth, fusion.depth + 1);
    }
    return depth;
  }

  /** The fusions that a node reads. */
  readFusions({ stored, after }: Reads): Fusion[] {
    return [
      ...new Set(
        [...stored.keys(), ...after].map((tensor) => this.#ofNode.get(tensor.node)).filter((fusion) =>
          fusion !== undefined
        ),
      ),
    ];
  }

  /** Whether a node and a fusion have reads in common, so that one kernel for both saves loads. */
  sharesReads(fusion: Fusion, reads: Reads): boolean {
    for (const node of fusion.nodes) {
      const present = this.accesses.reads.get(node)!;
      for (const tensor of reads.stored.keys()) {
        if (present.stored.has(tensor) && sizeOfShape(tensor.shape) > 1) return true;
      }
      for (const other of reads.others) if (present.others.has(other)) return true;
    }
    return false;
  }

  /** What a node contributes towards a kernel's limits. */
  extentOf({ node }: Reads): Extent {
    let extent = this.#extents.get(node);
    if (!extent) {
      this.#extents.set(
        node,
        extent = { items: this.scope.costs.below(node), height: this.scope.costs.heightBelow(node) },
      );
    }
    return extent;
  }

  /** Whether a part still fits a kernel; see limits.ts. */
  hasRoom(fusion: Fusion, more: Extent): boolean {
    return fusion.text + textBeside(fusion, more) <= MAX_KERNEL_TEXT &&
      fusion.height + more.height <= MAX_KERNEL_HEIGHT;
  }

  /** The operands of a fusion's kernel if nodes were added. */
  operandCount(fusion: Fusion, ...more: readonly Reads[]): number {
    const nodes = new Set([...fusion.nodes, ...more.map(({ node }) => node)]);
    const operands = new Set<unknown>();
    for (const node of nodes) {
      const reads = this.accesses.reads.get(node)!;
      for (const other of reads.others) operands.add(other);
      for (const tensor of reads.stored.keys()) if (!nodes.has(tensor.node)) operands.add(tensor);
      for (const tensor of node.outputs) {
        const isRead = (this.accesses.readers.get(tensor) ?? []).some((reader) => !nodes.has(reader));
        if (isRead || this.scope.outputs.has(tensor)) operands.add(tensor);
      }
    }
    return operands.size;
  }
}
