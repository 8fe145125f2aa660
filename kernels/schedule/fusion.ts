/** A fusion: the tensors that one kernel computes, whether it stores them or only uses them internally. */
import { invariant } from "../../core/errors.ts";
import type { Node, Tensor } from "../../core/graph.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { PlanNode } from "./normalize.ts";
import { isAnchor } from "./scope.ts";
import { textOf } from "./static_cost.ts";

/** A materialized tensor as a member of a fusion. */
export interface Member {
  readonly node: Node;
  /** The tensor's index in the fusion's variables. */
  readonly index: readonly Index[];
  /** Whether it is computed once per point of the space, rather than once per element of the row. */
  readonly isPerRow: boolean;
  /** Whether every reader must load it from memory, which excludes readers in the same kernel; see exact.ts. */
  readonly isExact?: boolean;
}

/** The tensors that one kernel computes. The kind `none` needs no kernel: its parts are stored in place. */
export interface Fusion {
  readonly kind: "map" | "row" | "contract" | "recurrence" | "scatter" | "loop" | "none";
  readonly members: Map<Tensor, Member>;
  readonly nodes: Set<Node>;
  /** The iteration space. For products: batch axes, m, n. For recurrences: all axes, including time. */
  readonly vars: readonly Var[];
  readonly row?: Var;
  /** Length of the longest chain of fusions before this one. */
  depth: number;
  /**
   * The items that all members depend on, their total code size, and the longest path through them in nodes; see
   * limits.ts.
   */
  readonly items: Map<string, number>;
  text: number;
  height: number;
}

/** What a part of a kernel contributes towards the kernel's limits. */
export interface Extent {
  readonly items: ReadonlyMap<string, number>;
  readonly height: number;
}

/** The code size that a part would add to a fusion. */
export function textBeside(fusion: Fusion, { items }: Extent): number {
  let text = 0;
  for (const [key, cost] of items) if (!fusion.items.has(key)) text += textOf(key, cost);
  return text;
}

/** Adds a part to a fusion's totals. */
export function extend(fusion: Fusion, more: Extent): void {
  fusion.text += textBeside(fusion, more);
  fusion.height += more.height;
  for (const [key, cost] of more.items) fusion.items.set(key, cost);
}

/** The extents of variables. */
export function extentsOf(vars: readonly Var[]): number[] {
  return vars.map(({ extent }) => extent);
}

/** The number of points of a fusion's space. */
export function spaceSize({ vars }: Fusion): number {
  return sizeOfShape(extentsOf(vars));
}

/** The number of elements over which a fusion iterates. */
export function workOf(fusion: Fusion): number {
  return spaceSize(fusion) * (fusion.row?.extent ?? 1);
}

/** The recurrences of a fusion, in the order in which a step computes them. */
export function recurrencesOf(fusion: Fusion): Node[] {
  return [...fusion.nodes].filter(({ op }) => op.kind === "recurrence").sort((a, b) => a.id - b.id);
}

/** The first node of a fusion that determines its kind. */
export function anchorOf(fusion: Fusion): PlanNode {
  for (const node of fusion.nodes) if (isAnchor(node)) return node as PlanNode;
  invariant(false, "a fusion has no anchor");
}
