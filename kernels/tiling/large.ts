/** What is large enough to be computed tile by tile. The pass itself (tile.ts) is loaded for programs that have some. */
import { sizeOf } from "../../core/dtype.ts";
import type { Graph, Node } from "../../core/graph.ts";
import type { ScanAttrs } from "../../core/loop.ts";
import { sizeOfShape } from "../../core/shape.ts";

/** How large tiles are. */
export interface TileSize {
  /** Elements of a large tensor in a tile. A tile should fit in the cache next to a core, and keep all cores busy. */
  readonly elements: number;
  /** Fewest rows of a tile, since each tile reads the other operand of its products as a whole. */
  readonly rows: number;
  /**
   * Tensors that a gradient reads again are computed again from this many elements on; smaller ones stay as they are.
   * Computing scores again takes longer than reading them, if not much.
   */
  readonly recomputed: number;
  /**
   * Bytes that one tensor may have: products above them are cut if that can be done at all. Default: they are cut like
   * others.
   */
  readonly largestBytes?: number;
}

/** A tile of 1 MiB; tensors of 32 MiB are not kept for gradients. */
export const DEFAULT_TILE: TileSize = { elements: 2 ** 18, rows: 64, recomputed: 2 ** 23 };

/** Tensors of fewer tiles are not cut. */
export const FEWEST_TILES = 2;

/**
 * A product is worth cutting if it has this many times the elements of its operands, as scores have: others, such as a
 * projection before a norm, save no memory to speak of, and their weights would be read at every tile.
 */
const EXPANSION = 4;

/** Whether a graph, or a loop in it, has a product that is large enough for tiles. */
export function hasLargeProduct({ nodes }: Graph, size: TileSize): boolean {
  return nodes.some((node) =>
    node.op.kind === "loop" ? hasLargeProduct((node.attrs as ScanAttrs).body, size) : isLarge(node, size)
  );
}

/** Whether the result of a node is worth tiles. */
export function isLarge(node: Node, tile: TileSize): boolean {
  const { op, inputs, outputs: [output] } = node, { elements } = tile;
  if (op.kind !== "contract") return false;
  if (isOversized(node, tile)) return true;
  const size = sizeOfShape(output.shape);
  return size >= FEWEST_TILES * elements && inputs.every(({ shape }) => size >= EXPANSION * sizeOfShape(shape));
}

/** Whether the result of a node is above what a tensor may have. */
export function isOversized({ outputs: [output] }: Node, { largestBytes = Infinity }: TileSize): boolean {
  return sizeOfShape(output.shape) * sizeOf(output.dtype) > largestBytes;
}
