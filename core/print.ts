/** Prints graphs as deterministic text: one node per line, loop bodies indented. */
import { Graph, type Tensor } from "./graph.ts";
import type { Attr, Attrs } from "./op.ts";
import { formatType } from "./shape.ts";

/**
 * The text of a graph. Tensors are numbered in topological order, so equal graphs print equally.
 *
 * ```text
 * (x: f32[3], w: f32[3]) {
 *   %0: f32[3] = mul(x, w)
 *   %1: f32[] = sum(%0) {axes: [0]}
 * } -> (%1)
 * ```
 */
export function printGraph(graph: Graph, indent = ""): string {
  const names = new Map<Tensor, string>();
  graph.inputs.forEach((tensor, i) => names.set(tensor, graph.names[i] || `p${i}`));
  const lines: string[] = [];
  let next = 0;
  for (const node of graph.nodes) {
    const outputs = node.outputs.map((tensor) => {
      if (!names.has(tensor)) names.set(tensor, `%${next++}`);
      return `${names.get(tensor)}: ${formatType(tensor)}`;
    });
    const call = `${node.op.name}(${node.inputs.map((input) => names.get(input)).join(", ")})`;
    lines.push(`${indent}  ${outputs.join(", ")} = ${call}${printAttrs(node.attrs, indent + "  ")}`);
  }
  const header = graph.inputs.map((tensor) => `${names.get(tensor)}: ${formatType(tensor)}`).join(", ");
  return [`(${header}) {`, ...lines, `${indent}} -> (${graph.outputs.map((tensor) => names.get(tensor)).join(", ")})`]
    .join("\n");
}

function printAttrs(attrs: Attrs, indent: string): string {
  const entries = Object.keys(attrs).sort().filter((name) => attrs[name] !== undefined).map((name) =>
    `${name}: ${printAttr(attrs[name], indent)}`
  );
  return entries.length === 0 ? "" : ` {${entries.join(", ")}}`;
}

function printAttr(attr: Attr, indent: string): string {
  if (attr instanceof Graph) return printGraph(attr, indent);
  if (attr instanceof Float64Array) {
    return `f64[${attr.length}](${[...attr.slice(0, 4)].join(", ")}${attr.length > 4 ? ", ..." : ""})`;
  }
  if (Array.isArray(attr)) return `[${attr.map((item) => printAttr(item, indent)).join(", ")}]`;
  if (typeof attr === "object" && attr !== null) return printAttrs(attr as Attrs, indent).trim();
  return JSON.stringify(attr) ?? String(attr);
}
