/** What one kernel computes: tensors that are stored, or that only the kernel itself reads. */
import { invariant } from "../../core/errors.ts";
import type { Node, Tensor } from "../../core/graph.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { PlanNode } from "./normalize.ts";
import { isAnchor } from "./scope.ts";
import { textOf } from "./static_cost.ts";

/** A stored tensor as part of a fusion's kernel. */
export interface Member {
  readonly node: Node;
  /** The tensor's index in the fusion's variables. */
  readonly index: readonly Index[];
  /** Computed once for each point of the space, rather than for each element of its row. */
  readonly isPerRow: boolean;
  /** Whether nobody may read it but from memory, so that nobody in this kernel may; see exact.ts. */
  readonly isExact?: boolean;
}

/** Tensors that one kernel computes; `none` takes no kernel, its parts are stored in place. */
export interface Fusion {
  readonly kind: "map" | "row" | "contract" | "recurrence" | "scatter" | "loop" | "none";
  readonly members: Map<Tensor, Member>;
  readonly nodes: Set<Node>;
  /** The space. Of products: batch axes, m, n. Of recurrences: all axes, time among them. */
  readonly vars: readonly Var[];
  readonly row?: Var;
  /** Longest chain of fusions before this one. */
  depth: number;
  /**
   * What is behind all members, how long a text it makes, and the nodes on the longest way through them; see limits.ts.
   */
  readonly items: Map<string, number>;
  text: number;
  height: number;
}

/** What a part of a kernel takes of its limits. */
export interface Extent {
  readonly items: ReadonlyMap<string, number>;
  readonly height: number;
}

/** The text that something adds to a fusion's. */
export function textBeside(fusion: Fusion, { items }: Extent): number {
  let text = 0;
  for (const [key, cost] of items) if (!fusion.items.has(key)) text += textOf(key, cost);
  return text;
}

/** Counts something towards a fusion's limits. */
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

/** The number of elements that a fusion goes over. */
export function workOf(fusion: Fusion): number {
  return spaceSize(fusion) * (fusion.row?.extent ?? 1);
}

/** The recurrences of a fusion, in the order in which a step computes them. */
export function recurrencesOf(fusion: Fusion): Node[] {
  return [...fusion.nodes].filter(({ op }) => op.kind === "recurrence").sort((a, b) => a.id - b.id);
}

/** The first of a fusion's nodes that has a kernel of its own kind. */
export function anchorOf(fusion: Fusion): PlanNode {
  for (const node of fusion.nodes) if (isAnchor(node)) return node as PlanNode;
  invariant(false, "a fusion has no anchor");
}
