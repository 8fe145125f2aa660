/** The elements of nodes that need nothing but elements at the same index, or none. */
import type { Expr, ExprBuilder } from "../../core/expr.ts";
import type { Node, Tensor } from "../../core/graph.ts";
import type { Index } from "../../core/index_expr.ts";

/**
 * The element of an elementwise node, or of a source that is not a table, at an index; undefined for other nodes.
 * @param element Gives the elements of inputs at that index.
 */
export function elementOf(
  e: ExprBuilder,
  { op, inputs, attrs, outputs: [{ dtype }] }: Node,
  index: readonly Index[],
  element: (input: Tensor) => Expr,
): Expr | undefined {
  // Whatever an op consists of, a float of 16 bits is rounded once.
  if (op.kind === "map") return e.cast(op.lower(e, inputs.map((input) => e.widened(element(input))), attrs), dtype);
  return op.kind === "source" && op.lower ? e.cast(op.lower(e, index, attrs), dtype) : undefined;
}
