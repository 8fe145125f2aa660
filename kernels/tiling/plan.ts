/** Decides which regions of a graph are computed tile by tile, along which axis, and in which loops. */
import { sizeOf } from "../../core/dtype.ts";
import type { Graph, Node, Tensor } from "../../core/graph.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { type Cuts, cutsAlong } from "./axis.ts";
import { FEWEST_TILES, isLarge, isOversized, type TileSize } from "./large.ts";
import { findRegion, type Region, Uses } from "./region.ts";

/** What is computed in one loop over the tiles. */
export interface Stage {
  /** What it depends on must come first: see {@link levelsOf}. */
  readonly level: number;
  /** In topological order. */
  readonly nodes: readonly Node[];
  /** Nodes whose results are used elsewhere. */
  readonly exits: readonly Node[];
}

/** A region and how it is computed. */
export interface TiledRegion {
  readonly region: Region;
  readonly cuts: Cuts;
  /** The extent of the axis that is cut, and elements of a tile along it. */
  readonly extent: number;
  readonly size: number;
  readonly stages: readonly Stage[];
}

/** What is computed tile by tile in a graph. */
export interface TilePlan {
  readonly regions: readonly TiledRegion[];
  /** By node; stages of a level come after all other nodes of it. */
  readonly levels: ReadonlyMap<Node, number>;
}

/** Plans the regions of a graph; those of loops in it are not looked at. */
export function planTiles(graph: Graph, tile: TileSize): TilePlan {
  const uses = new Uses(graph), taken = new Set<Node>();
  let regions: Omit<TiledRegion, "stages">[] = [];
  for (const node of graph.nodes) {
    if (taken.has(node) || !isLarge(node, tile)) continue;
    const region = findRegion(uses, node.outputs[0], isOversized(node, tile));
    if (!region || [...region.own].some((own) => taken.has(own))) continue;
    const cut = chooseCut(region, uses, tile);
    if (!cut) continue;
    region.own.forEach((own) => taken.add(own));
    regions.push({ region, ...cut });
  }
  for (;;) {
    const levels = levelsOf(graph, regions.map(({ region }) => region));
    const staged = regions.map((tiled): TiledRegion => ({ ...tiled, stages: stagesOf(tiled, uses, levels) }));
    const kept = staged.filter(({ region: { seed }, stages }) =>
      stages.length === 1 || sizeOfShape(seed.shape) >= tile.recomputed || isOversized(seed.node, tile)
    );
    if (kept.length === staged.length) return { regions: staged, levels };
    regions = kept;
  }
}

/** The outermost axis along which cutting makes tiles of at most half the size, and not too thin. */
function chooseCut(
  region: Region,
  uses: Uses,
  tile: TileSize,
): Pick<TiledRegion, "cuts" | "extent" | "size"> | undefined {
  const { seed: { shape, rank, node } } = region, { elements, rows } = tile, depth = node.inputs[0].shape[rank - 1];
  for (let axis = 0; axis < rank; axis++) {
    const extent = shape[axis], most = isOversized(node, tile) ? mostOf(region.seed, axis, tile) : Infinity;
    const fewest = axis < rank - 2 ? 1 : Math.min(most, Math.max(rows, depth));
    const size = Math.min(most, Math.max(fewest, Math.floor(elements * extent / sizeOfShape(shape))));
    if (size >= extent || (most === Infinity && FEWEST_TILES * size > extent)) continue;
    const cuts = cutsAlong(region, uses, axis);
    if (cuts) return { cuts, extent, size: evenSize(extent, size, most === Infinity ? fewest : 1) };
  }
  return undefined;
}

/** How much of an axis a tile may have at most: half of what a tensor may be, and at least a part. */
function mostOf({ shape, dtype }: Tensor, axis: number, { largestBytes = Infinity }: TileSize): number {
  const sliceBytes = sizeOfShape(shape) / shape[axis] * sizeOf(dtype);
  return Math.max(1, Math.floor(largestBytes / 2 / sliceBytes));
}

/** A size of tiles that leaves no rest, if there is one that is not much smaller. */
function evenSize(extent: number, size: number, fewest: number): number {
  for (let even = size; even >= Math.max(fewest, size / 2); even--) if (extent % even === 0) return even;
  return size;
}

/**
 * Of each node, how many loops over tiles come before it, one after another. A loop computes what a region has at one
 * level; what reads its results is a level above, so that no loop waits for itself.
 */
function levelsOf({ nodes }: Graph, regions: readonly Region[]): Map<Node, number> {
  const regionOf = new Map<Node, Region>(regions.flatMap((region) => [...region.own].map((node) => [node, region])));
  const levels = new Map<Node, number>();
  for (const node of nodes) {
    const own = regionOf.get(node);
    const level = node.inputs.reduce((most, input) => {
      const from = regionOf.get(input.node), isAfter = from && (from !== own || from.sinks.has(input.node));
      // Inputs of the graph are no nodes of it.
      return Math.max(most, (levels.get(input.node) ?? 0) + (isAfter ? 1 : 0));
    }, 0);
    levels.set(node, level);
  }
  return levels;
}

/** The loops of a region. What an earlier one computes of whole rows is kept; large tensors are computed again. */
function stagesOf(
  { region, cuts }: Omit<TiledRegion, "stages">,
  uses: Uses,
  levels: ReadonlyMap<Node, number>,
): Stage[] {
  const { own, sinks } = region;
  const isExit = (node: Node): boolean => {
    const [output] = node.outputs;
    return sinks.has(node) || uses.outputs.has(output) ||
      uses.consumersOf(output).some((consumer) => !own.has(consumer));
  };
  const exits = new Map<number, Set<Node>>();
  for (const node of own) {
    if (!isExit(node)) continue;
    const level = levels.get(node)!;
    if (!exits.has(level)) exits.set(level, new Set());
    exits.get(level)!.add(node);
  }
  const rowsOf = new Map<Node, number>(), stages: { level: number; nodes: Node[] }[] = [];
  for (const level of [...exits.keys()].sort((a, b) => a - b)) {
    const nodes = new Set<Node>(exits.get(level)), stack = [...nodes];
    for (let node = stack.pop(); node; node = stack.pop()) {
      node.inputs.forEach((input, i) => {
        const from = input.node, isCut = cuts.operands.get(node)![i] !== "absent";
        if (nodes.has(from) || !cuts.results.has(from) || !isCut || uses.inputs.has(input)) return;
        if (sinks.has(from)) return;
        const known = rowsOf.get(from);
        if (known !== undefined) {
          exits.get(known)!.add(from);
          return;
        }
        nodes.add(from);
        stack.push(from);
      });
    }
    for (const node of nodes) if (node.op.kind === "reduce") rowsOf.set(node, level);
    stages.push({ level, nodes: [...nodes].sort((a, b) => a.id - b.id) });
  }
  return stages.map(({ level, nodes }) => ({
    level,
    nodes,
    exits: nodes.filter((node) => exits.get(level)!.has(node)),
  }));
}
