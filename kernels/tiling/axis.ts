/** Which axis of each tensor of a region its tiles are cut along. */
import type { Node } from "../../core/graph.ts";
import type { Region, Uses } from "./region.ts";
import { operandAxes } from "./views.ts";

/** An axis along which operands or results are cut; `"absent"` where they are the same for all tiles. */
export type TileAxis = number | "absent";

/** How a region is cut. */
export interface Cuts {
  /** The axis of each node's operands. */
  readonly operands: ReadonlyMap<Node, readonly TileAxis[]>;
  /** The axis of each node's result; absent of products that are summed over all tiles. */
  readonly results: ReadonlyMap<Node, TileAxis>;
}

/** How nodes are cut along one axis of their result; undefined where they cannot be. */
function operandsOf(node: Node, axis: number): readonly TileAxis[] | undefined {
  const { op, inputs, outputs: [output], attrs } = node;
  switch (op.kind) {
    case "map":
      return inputs.map(() => axis);
    case "view":
      return operandAxes(output, axis);
    case "reduce":
      return [op.lower(attrs).axes.reduce((at, reduced) => (reduced <= at ? at + 1 : at), axis)];
    case "contract": {
      const row = output.rank - 2, column = output.rank - 1;
      return axis < row ? [axis, axis] : axis === row ? [row, "absent"] : ["absent", column];
    }
    default:
      return undefined;
  }
}

/** The axis of a node's result, given that of one operand; undefined where tiles do not make tiles. */
function resultOf(node: Node, operand: number, axis: number): TileAxis | undefined {
  const { op, outputs: [output], attrs } = node;
  switch (op.kind) {
    case "map":
      return axis;
    case "view": {
      const found = output.shape.flatMap((_, at) => (operandAxes(output, at)?.[operand] === axis ? [at] : []));
      return found.length === 1 ? found[0] : undefined;
    }
    case "reduce": {
      const { axes } = op.lower(attrs);
      return axes.includes(axis) ? undefined : axis - axes.filter((reduced) => reduced < axis).length;
    }
    case "contract": {
      const row = output.rank - 2, isSummed = axis === (operand === 0 ? row + 1 : row);
      // Sums of rounded parts would be rounded once a tile.
      return isSummed ? (output.dtype === "f32" ? "absent" : undefined) : axis;
    }
    default:
      return undefined;
  }
}

/** The operands of a product that is summed over tiles. */
const summed = ({ outputs: [{ rank }] }: Node): readonly TileAxis[] => [rank - 1, rank - 2];

/**
 * Cuts a region along an axis of its seed.
 * @returns Undefined where some node needs what lies in several tiles. Shared nodes that no cut reaches are left out.
 */
export function cutsAlong({ seed, own, sinks, shared }: Region, uses: Uses, axis: number): Cuts | undefined {
  const operands = new Map<Node, readonly TileAxis[]>(), results = new Map<Node, TileAxis>();
  const isInside = (node: Node): boolean => own.has(node) || shared.has(node);
  const stack: Node[] = [];
  const assign = (node: Node, at: TileAxis): boolean => {
    const known = results.get(node);
    if (known !== undefined) return known === at;
    const cut = at === "absent" ? (sinks.has(node) ? summed(node) : undefined) : operandsOf(node, at);
    if (!cut) return false;
    results.set(node, at);
    operands.set(node, cut);
    stack.push(node);
    return true;
  };
  if (!assign(seed.node, axis)) return undefined;
  for (let node = stack.pop(); node; node = stack.pop()) {
    const at = results.get(node)!, cut = operands.get(node)!;
    const isProduct = node.op.kind === "contract";
    const fits = node.inputs.every((input, i) => {
      const wanted = cut[i];
      if (!isInside(input.node) || uses.inputs.has(input)) return true;
      // A sink's other operand may be anything, but of the region only what is cut alike.
      if (wanted === "absent") return shared.has(input.node) && !isProduct;
      // What is not cut here, such as rows that are numbered otherwise, is computed before the loop.
      if (shared.has(input.node) && !operandsOf(input.node, wanted)) return true;
      return assign(input.node, wanted);
    });
    if (!fits) return undefined;
    if (at === "absent" || (isProduct && sinks.has(node))) continue;
    for (const consumer of uses.consumersOf(node.outputs[0])) {
      if (!own.has(consumer)) continue;
      const ways = consumer.inputs.flatMap((
        input,
        i,
      ) => (input === node.outputs[0] ? [resultOf(consumer, i, at)] : []));
      if (!ways.every((way) => way !== undefined && assign(consumer, way))) return undefined;
    }
  }
  return [...own].every((node) => results.has(node)) ? { operands, results } : undefined;
}
