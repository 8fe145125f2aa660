/** Values that are made of constants only. */
import { ExprBuilder, operandsOf, TRANSCENDENTAL } from "./expr.ts";
import type { Node } from "./graph.ts";
import { constantIndex } from "./index_expr.ts";

/**
 * A memoised test whether a node is made of constants only, by maps and views.
 * @param options.tables Whether transcendental functions of constants count, which cost more than reading a table.
 */
export function closedTest({ tables = true }: { readonly tables?: boolean } = {}): (node: Node) => boolean {
  const known = new Map<Node, boolean>();
  const isCheap = (node: Node): boolean => isExpression(node) && (tables || !isTranscendental(node));
  return (asked) => {
    const stack = [asked];
    while (stack.length > 0) {
      const node = stack[stack.length - 1],
        unknown = known.has(node) ? undefined : isCheap(node) && node.inputs.find((input) => !known.has(input.node));
      if (unknown) {
        stack.push(unknown.node);
        continue;
      }
      if (!known.has(node)) known.set(node, isCheap(node) && node.inputs.every((input) => known.get(input.node)));
      stack.pop();
    }
    return known.get(asked)!;
  };
}

function isExpression({ op }: Node): boolean {
  return op.kind === "map" || op.kind === "view" || op.kind === "alias" ||
    (op.kind === "source" && op.lower !== undefined);
}

/** Whether a map's element takes a transcendental function. */
function isTranscendental({ op, inputs, attrs }: Node): boolean {
  if (op.kind !== "map") return false;
  const e = new ExprBuilder(), loads = inputs.map(({ dtype }, i) => e.load(i, constantIndex(0), dtype));
  // Parts are shared: as trees, the rounds of a random number are without end.
  const seen = new Set([op.lower(e, loads, attrs)]);
  for (const expr of seen) {
    if ((expr.kind === "unary" || expr.kind === "binary") && TRANSCENDENTAL.has(expr.op)) return true;
    for (const operand of operandsOf(expr)) seen.add(operand);
  }
  return false;
}
